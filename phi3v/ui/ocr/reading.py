"""Reads documents page by page: results, their problems, and how they are continued.

Values and generators: the page holds the Reading in a gr.State of each session. Knows nothing of
components and events.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import gradio as gr
from PIL import Image

from phi3v.documents.pages import Page, Problem, find_pages
from phi3v.request import FinishReason, Request, RequestError, Sampling, Token, Turn
from phi3v.results.cleaning import clean_answer
from phi3v.results.formats import Formatted, OutputFormat, format_answer
from phi3v.tasks import OCR, build_request
from phi3v.ui.answering import AnswerUpdate, Stream, follow_answer
from phi3v.ui.i18n.languages import translate
from phi3v.ui.ocr import words as ocr_words


@dataclass(frozen=True)
class ReadingOptions:
    """Question, format, sampling and what answers, for every page of a reading."""

    question: str
    output_format: OutputFormat = "text"
    sampling: Sampling = field(default_factory=Sampling)
    num_crops: int | None = None
    model: str | None = None
    adapter: str | None = None


@dataclass(frozen=True)
class Result:
    """The result of one page: the model's raw answer, or the problem with the page.

    page is None for a file without a readable page. tokens are those of the text, or of a longer
    one if repetition was cut off; they are empty if the answer was stopped. layer is the text that
    a page of a PDF has of its own, which was not read by the model, and blank says that nothing is
    seen on one: what the model read there is invented.
    """

    name: str
    page: Page | None = None
    text: str = ""
    tokens: tuple[Token, ...] = ()
    finish_reason: FinishReason | None = None
    figures: str = ""
    problem: str = ""
    layer: str = ""
    blank: str = ""
    options: ReadingOptions = field(default_factory=lambda: ReadingOptions(""))

    @property
    def can_continue(self) -> bool:
        """True if the answer was cut, stopped or ended as repetition."""
        return self.page is not None and self.finish_reason not in (None, "end")

    def formatted(self) -> Formatted:
        """Return the answer, cleaned, in the requested format."""
        return format_answer(self.text, self.options.output_format)


@dataclass(frozen=True)
class Reading:
    """All results so far, the number of all pages, and whether they are being read now.

    ticket is a unique id of the current or last run, see phi3v.ui.stopping.
    """

    results: tuple[Result, ...] = ()
    total: int = 0
    is_running: bool = False
    ticket: str = ""


@dataclass(frozen=True)
class Step:
    """A progress update: the reading, and the current page's name, number (from 1) and text."""

    reading: Reading
    name: str = ""
    number: int = 0
    text: str = ""
    figures: str = ""


def read_documents(
    stream: Stream, files: Sequence[str], pages: str, options: ReadingOptions, ticket: str = ""
) -> Generator[Step, None, None]:
    """Read all pages of images and PDFs, one after the other.

    A page that cannot be read becomes a result with its problem, and reading continues. When the
    generator is closed, the last step yielded has the current page's partial result. Raises
    RequestError for an invalid choice of pages.
    """
    found = list(find_pages(files, pages))
    reading = Reading(total=len(found), is_running=True, ticket=ticket)
    for number, page in enumerate(found, 1):
        yield Step(reading, page.name, number, figures=translate(ocr_words.OPENING))
        if isinstance(page, Problem):
            result = Result(page.name, problem=page.message)
        else:
            result = Result(page.name, page, options=options)
            with closing(read_page(stream, result)) as results:
                for result in results:
                    yield show_step(reading, result, number)
        reading = replace(reading, results=(*reading.results, result))
    yield Step(replace(reading, is_running=False))


def show_step(reading: Reading, result: Result, number: int) -> Step:
    """Return the step for a page's partial result, which is part of the reading once it has text.

    Marked "stopped" until it ends, so that it can be continued if this is the last step.
    """
    text = clean_answer(result.text, is_whole=False)
    if result.text:
        unfinished = replace(result, finish_reason=result.finish_reason or "stopped")
        reading = replace(reading, results=(*reading.results, unfinished))
    return Step(reading, result.name, number, text, result.figures)


def read_page(stream: Stream, result: Result) -> Generator[Result, None, None]:
    """Yield the result so far while a page is answered, or its answer continued.

    On an error the last one is the partial result with the problem.
    """
    before = result
    try:
        page = result.page
        assert page is not None, "only pages that were found are read"
        image = page.open()
        blank = page.explain_blank(image) or ""
        before = result = replace(result, layer=page.read_text(), blank=blank)
        with closing(follow_answer(stream, build_page_request(before, image))) as updates:
            for update in updates:
                result = add_update(before, update)
                yield result
    except RequestError as error:
        yield replace(result, problem=error.text)
    except gr.Error as error:
        yield replace(result, problem=str(error.message))


def build_page_request(result: Result, image: Image.Image) -> Request:
    """Return the request for the text of a page's image, or for continuing the text so far.

    An answer that ended as repetition is continued without that check: the user has seen that the
    page really repeats.
    """
    options = result.options
    request = build_request(
        OCR, (), (image,), options.question, options.sampling, options.num_crops
    )
    if result.text:
        ids = tuple(token.id for token in result.tokens)
        turns = (*request.turns, Turn("assistant", result.text, token_ids=ids))
        ends_loops = result.finish_reason != "loop"
        request = replace(request, turns=turns, is_continued=True, ends_loops=ends_loops)
    return replace(request, wants_probabilities=True, model=options.model, adapter=options.adapter)


def add_update(before: Result, update: AnswerUpdate) -> Result:
    """Return a result with the text and tokens of an answer's update appended."""
    tokens: tuple[Token, ...] = ()
    if update.tokens:
        # Earlier text without tokens becomes one token of unknown probability, so that the words
        # keep their positions. Its id -1 is not in the vocabulary, which makes a further
        # continuation use the text instead of the ids.
        known = "".join(token.text for token in before.tokens) == before.text
        earlier = before.tokens if known else (Token(-1, before.text),)
        tokens = (*earlier, *update.tokens)
    return replace(
        before,
        text=before.text + update.text,
        tokens=tokens,
        finish_reason=update.finish_reason,
        figures=update.figures,
        problem="",
    )


def continue_page(stream: Stream, reading: Reading, index: int) -> Generator[Step, None, None]:
    """Continue the answer of one page; as in read_documents the last step has what there is."""
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
