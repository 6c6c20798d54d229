"""Documents read page by page: what has been read, what went wrong, what can go on.

Values and generators: a page keeps its Reading in a gr.State of its own session. Knows nothing of
components and events.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import gradio as gr

from phi3v.documents.pages import Page, Problem, find_pages
from phi3v.request import FinishReason, Request, RequestError, Sampling, Token, Turn
from phi3v.results.cleaning import clean_answer
from phi3v.results.formats import Formatted, OutputFormat, format_answer
from phi3v.tasks import OCR, build_request
from phi3v.ui.answering import Stream, Written, follow_answer
from phi3v.ui.i18n.languages import translate
from phi3v.ui.ocr import words as ocr_words


@dataclass(frozen=True)
class Asked:
    """What is asked of every page, and how."""

    question: str
    output_format: OutputFormat = "text"
    sampling: Sampling = field(default_factory=Sampling)
    num_crops: int | None = None


@dataclass(frozen=True)
class Result:
    """What came of one page: the answer as the network wrote it, or the problem with the page.

    page is None where a file has no page that could be read. tokens spell the text, or a longer one
    where a loop was cut off; they are empty where the answer was stopped.
    """

    name: str
    page: Page | None = None
    text: str = ""
    tokens: tuple[Token, ...] = ()
    finish_reason: FinishReason | None = None
    figures: str = ""
    problem: str = ""
    asked: Asked = field(default_factory=lambda: Asked(""))

    @property
    def can_continue(self) -> bool:
        """Whether the network may have had more to say."""
        return self.page is not None and self.finish_reason in ("length", "loop", "stopped")

    def formatted(self) -> Formatted:
        """The answer in the format that was asked for."""
        return format_answer(self.text, self.asked.output_format)


@dataclass(frozen=True)
class Reading:
    """All results so far, how many there will be, and whether pages are being read now."""

    results: tuple[Result, ...] = ()
    total: int = 0
    is_running: bool = False


@dataclass(frozen=True)
class Step:
    """A moment while pages are read: what there is, which page is on, and its text so far."""

    reading: Reading
    name: str = ""
    number: int = 0
    text: str = ""
    figures: str = ""


def read_documents(
    stream: Stream, files: Sequence[str], pages: str, asked: Asked
) -> Generator[Step, None, None]:
    """Read all pages of pictures and PDFs, one after the other.

    Whatever cannot be read becomes a result with its problem, and the others go on. Closed in the
    middle, the last step has the page that was on as far as it came. Raises RequestError for a bad
    choice of pages.
    """
    found = list(find_pages(files, pages))
    reading = Reading(total=len(found), is_running=True)
    for number, page in enumerate(found, 1):
        yield Step(reading, page.name, number, figures=translate(ocr_words.OPENING))
        if isinstance(page, Problem):
            result = Result(page.name, problem=page.message)
        else:
            result = Result(page.name, page, asked=asked)
            with closing(read_page(stream, result)) as results:
                for result in results:
                    yield show_step(reading, result, number)
        reading = replace(reading, results=(*reading.results, result))
    yield Step(replace(reading, is_running=False))


def show_step(reading: Reading, result: Result, number: int) -> Step:
    """The step in which a page is as far as this result, which is kept once it has a word."""
    text = clean_answer(result.text, is_whole=False)
    if result.text:
        unfinished = replace(result, finish_reason=result.finish_reason or "stopped")
        reading = replace(reading, results=(*reading.results, unfinished))
    return Step(reading, result.name, number, text, result.figures)


def read_page(stream: Stream, result: Result) -> Generator[Result, None, None]:
    """Answer one page, or go on with its answer: the result so far, again and again.

    An error ends it with the result as it was and the problem.
    """
    before = result
    try:
        with closing(follow_answer(stream, ask_page(before))) as steps:
            for step in steps:
                result = add_written(before, step)
                yield result
    except RequestError as error:
        yield replace(result, problem=error.text)
    except gr.Error as error:
        yield replace(result, problem=str(error.message))


def ask_page(result: Result) -> Request:
    """The request for a page's text, or for what follows the text that there is.

    Who goes on where the network repeated itself has seen that the picture does.
    """
    assert result.page is not None, "a page that was found can be asked about"
    asked = result.asked
    request = build_request(
        OCR, (), (result.page.open(),), asked.question, asked.sampling, asked.num_crops
    )
    if result.text:
        ids = tuple(token.id for token in result.tokens)
        turns = (*request.turns, Turn("assistant", result.text, token_ids=ids))
        ends_loops = result.finish_reason != "loop"
        request = replace(request, turns=turns, is_continued=True, ends_loops=ends_loops)
    return replace(request, wants_probabilities=True)


def add_written(before: Result, step: Written) -> Result:
    """A result with what has been written since."""
    tokens: tuple[Token, ...] = ()
    if step.tokens:
        # What came before without tokens counts as one, of unknown probability: words keep their
        # places. Its id is no token's, and so the text counts when it is gone on with.
        known = "".join(token.text for token in before.tokens) == before.text
        earlier = before.tokens if known else (Token(-1, before.text),)
        tokens = (*earlier, *step.tokens)
    return replace(
        before,
        text=before.text + step.text,
        tokens=tokens,
        finish_reason=step.finish_reason,
        figures=step.figures,
        problem="",
    )


def continue_page(stream: Stream, reading: Reading, index: int) -> Generator[Step, None, None]:
    """Let the network go on with the answer of one page."""
    result = reading.results[index]
    others = reading.results[:index], reading.results[index + 1 :]
    reading = replace(reading, is_running=True)
    yield Step(reading, result.name, index + 1, figures=translate(ocr_words.OPENING))
    with closing(read_page(stream, result)) as results:
        for result in results:
            kept = replace(result, finish_reason=result.finish_reason or "stopped")
            reading = replace(reading, results=(*others[0], kept, *others[1]))
            yield Step(reading, result.name, index + 1, result.text, result.figures)
    yield Step(replace(reading, is_running=False))
