"""Streams the answer to a request, on a GPU that a hosted Space may allocate for its duration.

The only place where the page calls the engine and where its errors become messages for users.
Knows nothing of components.
"""

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from phi3v.conversation.engine_protocol import StreamingEngine
from phi3v.conversation.prompt import build_prompt
from phi3v.conversation.repetition import cut_repetition
from phi3v.conversation.stop_strings import end_at_strings
from phi3v.documents import open_image
from phi3v.request import Chunk, FinishReason, Request, RequestError, Statistics, Token
from phi3v.translatable import Text
from phi3v.ui import words
from phi3v.ui.i18n.languages import Language, read_language, translate
from phi3v.ui.notices import refusal

logger = logging.getLogger(__name__)

# GPU time requested from a hosted Space, in seconds: for start and prompt, for each image at 17
# crops, and for each token at a slow moment's speed. Requesting more than needed costs quota.
SECONDS_TO_START, SECONDS_PER_IMAGE, SECONDS_PER_TOKEN = 10.0, 2.0, 0.05
MAX_SECONDS = 120

# Seconds between two updates of the shown text: a page cannot draw hundreds of tokens one by one.
SHOW_INTERVAL = 0.05

# Templates of the status line before the first token.
PHASES = {
    "loading": words.LOADING,
    "waiting": words.WAITING_POSITION,
    "preparing": words.OPENING_IMAGE,
    "encoding": words.READING_IMAGE,
    "prefill": words.READING_QUESTION,
    "answering": words.READING_QUESTION,
}

Stream = Callable[[Request], Generator[Chunk, None, None]]
# spaces.GPU, or any decorator of generator functions with its signature.
OnGpu = Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]]


@dataclass(frozen=True)
class AnswerUpdate:
    """The text of an answer so far and a status line (`figures`: phase or statistics).

    The last update also has the answer's tokens and the reason why it ended. If that is "loop", the
    text has the repeated unit once, and so is shorter than the tokens.
    """

    text: str = ""
    figures: str = ""
    tokens: tuple[Token, ...] = ()
    finish_reason: FinishReason | None = None


def make_stream(engine: StreamingEngine, on_gpu: OnGpu | None) -> Stream:
    """Return a function that answers a request; its arguments and chunks can be pickled.

    A Space runs it in a process of its own. That process does not know the user's request, so the
    language is an argument, and the only exception that returns from it intact is gr.Error.
    """

    def answer(request: Request, language: Language) -> Generator[Chunk, None, None]:
        try:
            yield from run(engine, request)
        except RequestError as error:
            raise refusal(error.text, language) from error
        except Exception as error:
            logger.exception("An answer failed.")
            raise refusal(words.BROKEN, language) from error

    if on_gpu:
        return answer_on_gpu(engine, on_gpu(duration=estimate_seconds)(answer))

    def stream(request: Request) -> Generator[Chunk, None, None]:
        yield from answer(request, read_language())

    return stream


def run(engine: StreamingEngine, request: Request) -> Generator[Chunk, None, None]:
    """Return the engine's answer, which the request's stop_strings end."""
    if not request.stop_strings:
        return engine.stream(request)
    stop = threading.Event()
    return end_at_strings(engine.stream(request, stop), stop, request.stop_strings)


def answer_on_gpu(
    engine: StreamingEngine,
    run_on_gpu: Callable[[Request, Language], Generator[Chunk, None, None]],
) -> Stream:
    """Return a stream that asks for a GPU for each answer; ZeroGPU itself queues those requests.

    Images are opened and the request is checked before, so that no GPU time is spent on them: a
    process that ends with an error is replaced, and the next has to load the weights again.
    """

    def stream(request: Request) -> Generator[Chunk, None, None]:
        language = read_language()
        try:
            opened = open_pictures(request)
            if (sized := engine.sized) is not None:
                build_prompt(opened, sized.processor, sized.context_length)
            with closing(run_on_gpu(opened, language)) as chunks:
                yield from chunks
        except RequestError as error:
            raise refusal(error.text, language) from error

    return stream


def estimate_seconds(request: Request, language: Language) -> int:
    """Return the GPU time to allocate for an answer, in seconds, at most MAX_SECONDS.

    `language` is unused: spaces.GPU passes the arguments of the function that it decorates.
    """
    images = sum(len(turn.images) for turn in request.turns)
    seconds = (
        SECONDS_TO_START
        + SECONDS_PER_IMAGE * images
        + SECONDS_PER_TOKEN * request.sampling.max_new_tokens
    )
    return min(round(seconds), MAX_SECONDS)


def open_pictures(request: Request) -> Request:
    """Return the request with its images opened and decoded. Raises RequestError."""
    turns = (
        replace(turn, images=tuple(open_image(image) for image in turn.images))
        for turn in request.turns
    )
    return replace(request, turns=tuple(turns))


def write_answer(stream: Stream, request: Request) -> Generator[tuple[str, str], None, None]:
    """Yield (text so far, status line) pairs of an answer; see follow_answer."""
    with closing(follow_answer(stream, request)) as steps:
        for step in steps:
            yield step.text, step.figures


def follow_answer(stream: Stream, request: Request) -> Generator[AnswerUpdate, None, None]:
    """Yield an answer's updates, each with the whole text so far.

    Heartbeats yield an update too, because Gradio can close a generator only when it yields.
    Raises gr.Error with a message for the user.
    """
    text = ""
    begun = time.perf_counter()
    shown, first = 0.0, None
    with closing(stream(request)) as chunks:
        for chunk in chunks:
            text += chunk.text
            now = time.perf_counter()
            if chunk.text and first is None:
                first = now - begun
            if chunk.statistics is not None:
                reason = chunk.statistics.finish_reason
                whole = cut_repetition(text) if reason == "loop" else text
                yield AnswerUpdate(whole, describe_figures(chunk.statistics), chunk.tokens, reason)
            elif now - shown >= SHOW_INTERVAL:
                shown = now
                figures = name_phase(chunk) if first is None else words.first_token(first)
                yield AnswerUpdate(text, translate(figures))


def name_phase(chunk: Chunk) -> str:
    """Return the status line's template for the phase before the first token."""
    if chunk.phase == "waiting" and chunk.number == 0:  # just entering or leaving the queue
        return words.WAITING
    return Text(PHASES[chunk.phase], number=chunk.number, total=chunk.total)


def describe_figures(statistics: Statistics) -> str:
    """Return an answer's statistics as one line in the user's language."""
    peak = statistics.peak_memory
    memory = [] if peak is None else [words.peak_memory(peak)]
    figures = (
        words.first_token(statistics.time_to_first_token),
        *words.decoded(statistics.new_tokens, statistics.tokens_per_second),
        words.prompt_tokens(statistics),
        *memory,
        *words.answered_by(statistics.model, statistics.adapter),
        words.REASONS[statistics.finish_reason],
    )
    return " · ".join(map(translate, figures))
