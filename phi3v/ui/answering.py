"""From a request to pieces of text, on a GPU that may be lent by a hosted Space for its duration.

The one place where the page meets the engine and where its errors become words for people.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from phi3v.conversation.engine_protocol import HEARTBEAT_INTERVAL, StreamingEngine
from phi3v.conversation.repetition import cut_repetition
from phi3v.documents import measure_image, open_image
from phi3v.inference.background_loading import LoadingEngine
from phi3v.inference.request_queue import RequestQueue
from phi3v.request import Chunk, FinishReason, Request, RequestError, Statistics, Token
from phi3v.translatable import Text
from phi3v.ui import words
from phi3v.ui.i18n.languages import Language, read_language, translate
from phi3v.ui.notices import refusal

logger = logging.getLogger(__name__)

# What a GPU of a hosted Space is asked for, in seconds: start and prompt, each picture at 17
# crops, each token at the pace of a slow moment. Asking for more than needed costs quota.
SECONDS_TO_START, SECONDS_PER_IMAGE, SECONDS_PER_TOKEN = 10.0, 2.0, 0.05
MOST_SECONDS = 120

# Text is shown this often, in seconds: a page cannot draw hundreds of tokens one by one.
SHOW_INTERVAL = 0.05

# What the line of figures says before there are any.
PHASES = {
    "loading": words.LOADING,
    "waiting": words.WAITING_POSITION,
    "preparing": words.OPENING_IMAGE,
    "encoding": words.READING_IMAGE,
    "prefill": words.READING_QUESTION,
    "answering": words.READING_QUESTION,
}

Stream = Callable[[Request], Generator[Chunk, None, None]]
# spaces.GPU, or anything that decorates a generator function like it.
OnGpu = Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]]


@dataclass(frozen=True)
class Written:
    """What has been written of an answer: its text and a line of figures.

    The last one has the answer's tokens and why it ended; the text of one that ended as a loop says
    the loop once, and so is shorter than its tokens.
    """

    text: str = ""
    figures: str = ""
    tokens: tuple[Token, ...] = ()
    finish_reason: FinishReason | None = None


def make_stream(engine: StreamingEngine | LoadingEngine, on_gpu: OnGpu | None) -> Stream:
    """Build the function that answers a request; what it takes and gives can be pickled.

    A Space runs it in a process of its own, which does not know who asks, and from which no
    exception but gr.Error comes back whole.
    """

    def answer(request: Request, language: Language) -> Generator[Chunk, None, None]:
        try:
            yield from engine.stream(request)
        except RequestError as error:
            raise refusal(error.text, language) from error
        except Exception as error:
            logger.exception("An answer failed.")
            raise refusal(words.BROKEN, language) from error

    if on_gpu:
        return wait_for_gpu(on_gpu(duration=estimate_seconds)(answer))

    def stream(request: Request) -> Generator[Chunk, None, None]:
        yield from answer(request, read_language())

    return stream


def wait_for_gpu(lent: Callable[[Request, Language], Generator[Chunk, None, None]]) -> Stream:
    """Let requests wait here, in one line, until a GPU is lent for the first of them.

    Its pictures are read here, so that no lent second is spent on it.
    """
    queue: RequestQueue[object] = RequestQueue()

    def stream(request: Request) -> Generator[Chunk, None, None]:
        ticket, language = object(), read_language()
        try:
            check_pictures(request)
            queue.put(ticket)
            while (position := queue.position(ticket))[0] > 1:
                # The first is being answered, and waits no more.
                number, total = position[0] - 1, position[1] - 1
                yield Chunk("", phase="waiting", number=number, total=total)
                time.sleep(HEARTBEAT_INTERVAL)
            with closing(lent(open_pictures(request), language)) as chunks:
                yield from chunks
        except RequestError as error:
            raise refusal(error.text, language) from error
        finally:
            queue.remove(ticket)

    return stream


def estimate_seconds(request: Request, language: Language) -> int:
    """Seconds of GPU that an answer may take at most."""
    images = sum(len(turn.images) for turn in request.turns)
    seconds = (
        SECONDS_TO_START
        + SECONDS_PER_IMAGE * images
        + SECONDS_PER_TOKEN * request.sampling.max_new_tokens
    )
    return min(round(seconds), MOST_SECONDS)


def check_pictures(request: Request) -> None:
    """Look whether a request's pictures can be read, without their pixels. Raises RequestError."""
    for turn in request.turns:
        for image in turn.images:
            measure_image(image)


def open_pictures(request: Request) -> Request:
    """Read a request's pictures here, before a GPU is lent for it. Raises RequestError."""
    turns = (
        replace(turn, images=tuple(open_image(image) for image in turn.images))
        for turn in request.turns
    )
    return replace(request, turns=tuple(turns))


def write_answer(stream: Stream, request: Request) -> Generator[tuple[str, str], None, None]:
    """Answer a request: its text so far and a line of figures; see follow_answer."""
    with closing(follow_answer(stream, request)) as steps:
        for step in steps:
            yield step.text, step.figures


def follow_answer(stream: Stream, request: Request) -> Generator[Written, None, None]:
    """Answer a request: what is written so far, again and again.

    One comes with every sign of life too: a page can only close what has just yielded.
    Raises gr.Error, with words for people.
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
                yield Written(whole, describe_figures(chunk.statistics), chunk.tokens, reason)
            elif now - shown >= SHOW_INTERVAL:
                shown = now
                figures = name_phase(chunk) if first is None else words.first_token(first)
                yield Written(text, translate(figures))


def name_phase(chunk: Chunk) -> str:
    """What is being done for an answer that has no word yet."""
    if chunk.phase == "waiting" and chunk.number == 0:  # it has just left the line, or joins it
        return words.WAITING
    return Text(PHASES[chunk.phase], number=chunk.number, total=chunk.total)


def describe_figures(statistics: Statistics) -> str:
    """Say an answer's figures in one line."""
    peak = statistics.peak_memory
    memory = [] if peak is None else [words.peak_memory(peak)]
    figures = (
        words.first_token(statistics.time_to_first_token),
        *words.decoded(statistics.new_tokens, statistics.tokens_per_second),
        words.prompt_tokens(statistics),
        *memory,
        words.REASONS[statistics.finish_reason],
    )
    return " · ".join(map(translate, figures))
