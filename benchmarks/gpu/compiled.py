"""Last stage: decoding by torch.compile, timed apart, as compiling alone takes most of a minute."""

import time
from collections.abc import Callable, Iterator
from statistics import median

import torch

from benchmarks.floor import bytes_per_token
from benchmarks.gpu.asking import make_text, prompt_ids
from benchmarks.gpu.context import Context
from benchmarks.gpu.measuring import floor_rate, intervals, percentile, synchronize, time_work
from benchmarks.gpu.report import Row
from phi3v.model.cuda_graphs import SlotBuffer
from phi3v.model.decoding import rotation_table

STAGE = "compiled"
SLOTS, STATIC_TOKENS = 2048, 64
WARM_UP, STEPS = 3, 64


class TokenTimes:
    """A streamer of `generate` that takes the time of each token."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        """Take the time; the first call brings the prompt."""
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Do nothing: the answer is complete."""


def compiled(context: Context) -> Iterator[Row]:
    """Compile this project's step and transformers' static-cache `generate`."""
    try:
        yield from time_step(context)
        yield from time_static(context)
    finally:
        torch.compiler.reset()


def make_step(context: Context) -> Callable[[], torch.Tensor]:
    """Return the decode step over SLOTS slots, the last of which it fills, without arguments."""
    model = context.full.model.model
    buffer = SlotBuffer(model, SLOTS)
    for layer in buffer.layers:
        layer.normal_(std=0.1)
    buffer.cos[:], buffer.sin[:] = rotation_table(model, SLOTS)
    buffer.input_ids.fill_(1)
    layers = buffer.view(SLOTS)

    def run() -> torch.Tensor:
        buffer.position.fill_(SLOTS - 1)
        return context.full.model.lm_head(buffer.compute(layers))

    return run


def time_step(context: Context) -> Iterator[Row]:
    """Time the step, compiled and then captured as a graph, without Python between tokens."""
    with torch.inference_mode():
        run = make_step(context)
        quick = torch.compile(run, dynamic=False)
        began = time.perf_counter()
        expected, found = run(), quick()
        synchronize(context.device)
        yield Row(STAGE, "decode step, compiling", time.perf_counter() - began, "s")
        difference = float((found - expected).abs().max() / expected.abs().max())
        yield Row(STAGE, "decode step, difference", difference)
        if context.is_cuda:
            quick = capture(quick)
        ways = {"compiled step alone, 2k": quick, "eager step alone, 2k": run}
        for name, way in ways.items():
            steps = STEPS if context.is_cuda else 4
            took = time_repeated(way, steps, context)
            floor = floor_rate(context.bandwidth, bytes_per_token(context.engine, SLOTS))
            note = f"{1 / took / floor:.2f} of the floor"
            yield Row(STAGE, name, 1 / took, "tokens/s", note=note)


def time_repeated(work: Callable[[], object], count: int, context: Context) -> float:
    """Return the seconds of one of `count` calls in a row; median of three such rows."""

    def repeat() -> None:
        for _ in range(count):
            work()

    repeat()
    return median(time_work(repeat, context.device) for _ in range(3)) / count


def capture(work: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    """Return a function that replays `work` as a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = work()

    def replay() -> torch.Tensor:
        graph.replay()
        return output

    return replay


def time_static(context: Context) -> Iterator[Row]:
    """Time transformers' `generate` with a static cache, which it compiles on CUDA."""
    name = "transformers' static cache, 2k"
    tokens = SLOTS - STATIC_TOKENS if context.is_quick else 64
    first, times = generate_static(context, tokens)
    again, times = generate_static(context, tokens)
    if context.is_cuda:
        yield Row(STAGE, f"{name}, compiling", first - again, "s")
    seconds = intervals(times, skipped=2)
    note = "" if context.is_cuda else "not compiled on a CPU"
    yield Row(STAGE, name, len(seconds) / sum(seconds), "tokens/s", note=note)
    yield Row(STAGE, f"{name}, p95", 1000 * percentile(seconds, 0.95), "ms")


def generate_static(context: Context, tokens: int) -> tuple[float, list[float]]:
    """Return the seconds of an answer and the times of its tokens."""
    weights, times = context.full, TokenTimes()
    turns = make_text(context, weights.processor, tokens)
    ids = torch.tensor([prompt_ids(weights.processor, turns)], device=context.device)
    count = STATIC_TOKENS if context.is_quick else 4
    began = time.perf_counter()
    with torch.no_grad():
        weights.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            cache_implementation="static",
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=None,
            streamer=times,
        )
    synchronize(context.device)
    return time.perf_counter() - began, times.times[1:]
