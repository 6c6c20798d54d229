"""Stages 7 and 8: memory that runs out, and readers who stop, in each phase of an answer."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from benchmarks.gpu.asking import Answered, OnToken, Turns, ask, make_text, show_picture
from benchmarks.gpu.context import Context
from benchmarks.gpu.measuring import synchronize
from benchmarks.gpu.report import Row, needs_cuda
from phi3v import Engine, Request, RequestError, Sampling
from phi3v.inference.hardware import limit_memory

SHORTAGE, STOP = "shortage", "stop"
KNOWN_TOKENS, NEW_TOKENS = 120, 24
# What is left when memory runs out: too little for a layer's activations of a long prompt.
LEFT_BYTES = 2_000_000
LONG_PROMPT = 8000
AFTER_TOKENS = 5
REFUSED = "refused with what to do"
MANY_TOKENS = 2000  # of an answer that is stopped


def shortage(context: Context) -> Iterator[Row]:
    """Take the memory away in prefill, in decoding and when a step is captured."""
    with context.opened(context.exact) as engine:
        known = make_text(context, engine.processor, KNOWN_TOKENS)
        expected = ask(engine, known, NEW_TOKENS).ids
        long = LONG_PROMPT if context.is_cuda else 400
        layers = engine.model.model.layers
        starve = starving(context)
        cases: dict[str, tuple[int, OnToken | None, Any]] = {
            "prefill": (long, None, layers[0]),
            "decode": (long, at_token(AFTER_TOKENS, starve), None),
            "capture": (KNOWN_TOKENS, at_token(1, starve), None),
        }
        for phase, (tokens, on_token, layer) in cases.items():
            if phase == "capture" and not context.is_cuda:
                yield needs_cuda(SHORTAGE, "next answer after capture")
                continue
            if phase == "capture":
                engine.clear_caches()  # its step is captured anew
            turns = make_text(context, engine.processor, tokens)
            with ExitStack() as hooks:
                if layer is not None:
                    handle = layer.register_forward_pre_hook(lambda *_: starve())
                    hooks.callback(handle.remove)
                hooks.callback(limit_memory, context.device, None)
                what = describe_outcome(partial(ask, engine, turns, 300, on_token=on_token))
            yield from judge_next(context, engine, phase, what, known, expected)


def starving(context: Context) -> Callable[[], None]:
    """Return a function that leaves the device no memory; on a CPU it raises what a GPU would."""

    def starve() -> None:
        if not context.is_cuda:
            raise torch.OutOfMemoryError("Tried to allocate 1.00 GiB, a trial without a GPU")
        torch.cuda.empty_cache()
        reserved = torch.cuda.memory_reserved(context.device)
        limit_memory(context.device, reserved + LEFT_BYTES)

    return starve


def at_token(number: int, act: Callable[[], None]) -> OnToken:
    """Return a function of the token count that acts at one of them."""
    return lambda count: act() if count == number else None


def describe_outcome(work: Callable[[], Answered]) -> str:
    """Return how an answer without memory ended: with the error for people, or all the same."""
    try:
        answered = work()
    except RequestError:
        return REFUSED
    return f"answered all the same, {answered.statistics.new_tokens} tokens"


def judge_next(
    context: Context,
    engine: Engine,
    phase: str,
    outcome: str,
    known: Turns,
    expected: tuple[int, ...],
) -> Iterator[Row]:
    """Ask what was asked before, and look whether steps are still captured."""
    steps = engine.prefix_cache.captured_steps
    before = 0 if steps is None else steps.num_captures
    found = ask(engine, known, NEW_TOKENS).ids
    value = "right" if found == expected else "other tokens"
    name = f"next answer after {phase}"
    yield Row(SHORTAGE, name, value, "", found == expected, "right", f"that one: {outcome}")
    if context.is_cuda:
        # The engine drops its steps when memory runs out, and captures them anew.
        was_dropped = phase == "capture" or outcome == REFUSED
        is_on = steps is not None and steps.is_enabled
        if steps is not None and was_dropped:
            is_on = is_on and steps.num_captures > before
        value = "on" if is_on else "off"
        yield Row(SHORTAGE, f"capturing after {phase}", value, "", is_on, "on")


@dataclass
class LayerCount:
    """Layers that began to run since `stop` was set, and when that was."""

    stop: threading.Event
    after: int = 0
    stopped_at: float = 0.0

    def set(self) -> None:
        """Stop, and take the time."""
        self.stopped_at = time.perf_counter()
        self.stop.set()


def stop(context: Context) -> Iterator[Row]:
    """Stop within the tower, the prefill and the decoding; layers and tokens that follow count."""
    engine = context.engine
    tower = engine.model.model.vision_embed_tokens.img_processor["vision_model"].encoder.layers
    decoder = engine.model.model.layers
    prompt = make_text(context, engine.processor, LONG_PROMPT if context.is_cuda else 400)
    for phase, turns, layers in (
        ("tower", show_picture(context), list(tower)[:-1]),
        ("prefill", prompt, list(decoder)),
    ):
        count = LayerCount(threading.Event())
        with stopping_at(layers, len(layers) // 2, count):
            list(engine.stream(Request(turns, Sampling(NEW_TOKENS)), count.stop))
        yield from show_stop(context, phase, count.after, "layers", count.stopped_at)
    yield from stop_decoding(context, engine)
    answered = ask(engine, make_text(context, engine.processor, KNOWN_TOKENS), NEW_TOKENS)
    reason = answered.statistics.finish_reason
    passes = reason == "length" and answered.statistics.new_tokens == NEW_TOKENS
    yield Row(STOP, "next answer", f"{answered.statistics.new_tokens} tokens", "", passes, "whole")


def stop_decoding(context: Context, engine: Engine) -> Iterator[Row]:
    """Stop at a token and count those that follow."""
    count = LayerCount(threading.Event())
    turns = make_text(context, engine.processor, KNOWN_TOKENS)
    on_token = at_token(AFTER_TOKENS, count.set)
    answered = ask(engine, turns, MANY_TOKENS, stop=count.stop, on_token=on_token)
    after = answered.statistics.new_tokens - AFTER_TOKENS
    yield from show_stop(context, "decode", after, "tokens", count.stopped_at)


@contextmanager
def stopping_at(layers: list[Any], index: int, count: LayerCount) -> Iterator[None]:
    """Stop when the layer at `index` is about to run, and count those that ran from there on."""

    def note_run(*_: object) -> None:
        count.after += count.stop.is_set()

    with ExitStack() as hooks:
        begin = layers[index].register_forward_pre_hook(lambda *_: count.set())
        hooks.callback(begin.remove)
        for layer in layers:
            hooks.callback(layer.register_forward_hook(note_run).remove)
        yield


def show_stop(
    context: Context, phase: str, after: int, what: str, stopped_at: float
) -> Iterator[Row]:
    """Yield what ran after stopping, and when the stream ended and the device was idle."""
    ended = 1000 * (time.perf_counter() - stopped_at)
    synchronize(context.device)
    idle = 1000 * (time.perf_counter() - stopped_at)
    yield Row(STOP, f"in {phase}, {what} after it", after, "", after <= 1, "<= 1")
    yield Row(STOP, f"in {phase}, stream ended", ended, "ms", note=f"device idle after {idle:.1f}")
