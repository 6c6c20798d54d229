"""Questions to an engine, and the moments of their answers; texts and pictures are random."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from benchmarks.__main__ import draw_noise
from benchmarks.gpu.context import Context
from phi3v import Engine, Request, Sampling, Statistics, Turn
from phi3v.conversation.prompt import render_prompt
from phi3v.inference.streaming import AnswerStreamer
from phi3v.model import Phi3VProcessor

# 13 crops of at most 17
PICTURE, NUM_CROPS, IMAGE_TOKENS = (1344, 1008), 16, 1921

Turns = tuple[Turn, ...]
OnToken = Callable[[int], None]  # given how many tokens there are


@dataclass
class Moments:
    """Times of time.perf_counter: request, pictures prepared on the host, each token."""

    requested_at: float = 0.0
    prepared_at: float = 0.0
    tokens: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Answered:
    """An answer's token ids and text, its statistics and moments."""

    ids: tuple[int, ...]
    text: str
    statistics: Statistics
    moments: Moments

    @property
    def prepared_to_first_token(self) -> float:
        """Seconds from prepared pixels on the host to the first token."""
        return self.moments.tokens[0] - self.moments.prepared_at


@contextmanager
def record_moments(engine: Engine, on_token: OnToken | None = None) -> Iterator[Moments]:
    """Record when the engine encodes and when tokens reach its reader's queue.

    on_token is called by the generating thread behind each token; what it raises ends the answer.
    """
    moments = Moments(time.perf_counter())
    encode, put = engine.vision_cache.encode, AnswerStreamer.put

    def timed_encode(*arguments: object) -> tuple[torch.Tensor, ...]:
        moments.prepared_at = time.perf_counter()
        return encode(*arguments)  # type: ignore[arg-type]

    def timed_put(streamer: AnswerStreamer, value: torch.Tensor) -> None:
        is_prompt = streamer.next_tokens_are_prompt
        put(streamer, value)
        if not is_prompt:
            moments.tokens.append(time.perf_counter())
            if on_token is not None:
                on_token(len(moments.tokens))

    engine.vision_cache.encode = timed_encode  # type: ignore[assignment,method-assign]
    AnswerStreamer.put = timed_put  # type: ignore[method-assign,assignment]
    try:
        yield moments
    finally:
        AnswerStreamer.put = put  # type: ignore[method-assign]
        del engine.vision_cache.encode


def ask(
    engine: Engine,
    turns: Turns,
    new_tokens: int,
    seed: int | None = None,
    stop: threading.Event | None = None,
    on_token: OnToken | None = None,
) -> Answered:
    """Return an answer of so many tokens; greedy, or sampled with a seed."""
    sampling = Sampling(new_tokens, 0.0 if seed is None else 1.0, seed=seed)
    request = Request(turns, sampling, NUM_CROPS, ends_loops=False)
    with record_moments(engine, on_token) as moments:
        chunks = list(engine.stream(request, stop))
    last = chunks[-1]
    assert last.statistics is not None
    ids = tuple(token.id for token in last.tokens)
    return Answered(ids, "".join(chunk.text for chunk in chunks), last.statistics, moments)


def make_text(context: Context, processor: Phi3VProcessor, tokens: int) -> Turns:
    """Return a question whose prompt has exactly so many tokens, of random digits.

    A digit is one token of the embedded checkpoint's tokenizer, which random weights use too.
    """
    overhead = len(prompt_ids(processor, (Turn("user", "7"),))) - 1
    digits = context.rng.choices("0123456789", k=tokens - overhead)
    return (Turn("user", "".join(digits)),)


def prompt_ids(processor: Phi3VProcessor, turns: Turns) -> list[int]:
    """Return the ids of a conversation without pictures."""
    return processor.tokenize(render_prompt(turns, processor), [])


def show_picture(context: Context, size: tuple[int, int] = PICTURE) -> Turns:
    """Return a question about random pixels, which no cache holds."""
    picture = draw_noise(size, context.rng.randrange(2**31))
    return (Turn("user", "Describe this image.", (picture,)),)


def continue_turns(turns: Turns, answered: Answered, *following: Turn) -> Turns:
    """Return the conversation after an answer, with further turns."""
    return (*turns, Turn("assistant", answered.text or "."), *following)
