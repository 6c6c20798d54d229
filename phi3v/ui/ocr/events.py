"""Events of the OCR tab's documents part: read, stop, continue, choose a result, clear.

Every handler works on the values of its own user's session only.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any
from uuid import uuid4

import gradio as gr

from phi3v.conversation.engine_protocol import StreamingEngine
from phi3v.documents.pages import parse_ranges
from phi3v.request import RequestError
from phi3v.results.formats import OutputFormat
from phi3v.tasks import OCR, find_preset
from phi3v.ui import words
from phi3v.ui.answering import Stream
from phi3v.ui.choosing import choose_source, is_embedded
from phi3v.ui.i18n.languages import translate
from phi3v.ui.notices import warn
from phi3v.ui.ocr import words as ocr_words
from phi3v.ui.ocr.layout import ReadingView
from phi3v.ui.ocr.reading import Reading, ReadingOptions, Step, continue_page, read_documents
from phi3v.ui.ocr.rendering import disable_button, mark_chosen, show_nothing, show_result
from phi3v.ui.ocr.results import (
    name_choices,
    save_all,
)
from phi3v.ui.stopping import ANSWERS
from phi3v.ui.wiring import QUIET, UNQUEUED, choose_sampling

# Pages wait in the engine's own queue one by one, so that other users' questions are answered
# between the pages of a long document. Each document that is read holds one rendered page in
# memory; the limit bounds them.
READING_QUEUE = {"concurrency_id": "reading", "concurrency_limit": 4}

# The values of view.shown and of what end_reading returns.
SHOWN = 11
SETTLED = 8 + SHOWN
# The values of view.sampling; those of view.choice follow.
SAMPLING = 5


def connect_reading(engine: StreamingEngine, view: ReadingView, stream: Stream) -> None:
    """Attach the events of reading, stopping, continuing, choosing and clearing."""
    quiet = QUIET | {"show_progress_on": [view.figures]}
    queued = quiet | READING_QUEUE
    asked = [view.files, view.pages, view.reading]
    cache = view.raw.GRADIO_CACHE
    begun = [*view.moving, *view.buttons, *view.shown]
    begin = view.read.click(begin_reading, asked, begun, validator=check_files, **quiet)
    inputs = [view.reading, view.threshold, view.files, view.pages, view.output_format]
    inputs += [view.instruction, *view.sampling, *view.choice]
    written = [*view.moving, *view.shown]
    give = partial(give_reading, engine, stream, cache)
    reading = begin.success(give, inputs, written, **queued)
    chosen = [view.reading, view.chosen]
    begin = view.continue_button.click(begin_more, chosen, begun, validator=check_more, **quiet)
    inputs = [*chosen, *view.sampling, *view.choice]
    more = begin.success(partial(give_more, stream), inputs, written, **queued)
    choose = [*chosen, view.threshold]
    ended = choose, [*view.moving, *view.buttons, view.save_all, *view.shown]
    for event in (reading, more):
        event.then(partial(end_reading, cache), *ended, **UNQUEUED)
        event.failure(partial(refuse_reading, cache), *ended, **UNQUEUED)
    view.stop.click(partial(stop_reading, cache), *ended, **UNQUEUED)
    # Not `change`: its answer to a choice made by an event can arrive after that of a later event.
    view.chosen.input(partial(show_result, cache), choose, view.shown, **UNQUEUED)
    view.threshold.change(mark_chosen, choose, [view.marked, view.unsure], **UNQUEUED)
    cleared = [view.files, *view.moving, *view.buttons, view.save_all, *view.shown]
    view.clear.click(discard_reading, view.reading, cleared, **UNQUEUED)


def check_files(files: list[str] | None, pages: str, reading: Reading) -> list[Any]:
    """Validate the inputs of Read: one verdict each for files, pages and reading."""
    fine = gr.validate(True, "")
    if reading.is_running:
        return [gr.validate(False, translate(ocr_words.READING_ALREADY)), fine, fine]
    if not files:
        return [gr.validate(False, translate(ocr_words.NO_FILES)), fine, fine]
    try:
        parse_ranges(pages)
    except RequestError as error:
        return [fine, gr.validate(False, translate(error.text)), fine]
    return [fine, fine, fine]


def check_more(reading: Reading, index: int | None) -> list[Any]:
    """Validate the inputs of Continue: one verdict each for reading and the chosen result."""
    fine = gr.validate(True, "")
    if reading.is_running:
        return [fine, gr.validate(False, translate(ocr_words.READING_ALREADY))]
    if index is None or not reading.results[index].can_continue:
        return [fine, gr.validate(False, translate(ocr_words.NOTHING_CUT))]
    return [fine, fine]


def begin_reading(files: list[str], pages: str, reading: Reading) -> tuple[Any, ...]:
    """Drop earlier results, and show that pages are waiting to be read."""
    return *show_begun(Reading(), gr.Dropdown([], value=None)), *show_nothing()


def begin_more(reading: Reading, index: int) -> tuple[Any, ...]:
    """Show that a page is waiting to be continued."""
    kept = (gr.skip() for _ in range(SHOWN - 1))
    return *show_begun(reading, gr.skip()), *kept, disable_button()


def show_begun(reading: Reading, chosen: Any) -> tuple[Any, ...]:
    """Return the values of view.moving, the buttons and Continue before the first word."""
    reading = replace(reading, is_running=True, ticket=uuid4().hex)
    ANSWERS.begin(reading.ticket)
    live = gr.Textbox("", visible=True)
    return reading, "", live, translate(words.WAITING), chosen, *switch(is_running=True)


def switch(is_running: bool) -> tuple[gr.Button, gr.Button]:
    """Return updates for Read and Stop."""
    return (
        gr.Button(interactive=not is_running),
        gr.Button(interactive=is_running, variant="stop" if is_running else "secondary"),
    )


def give_reading(
    engine: StreamingEngine,
    stream: Stream,
    cache: str,
    begun: Reading,
    threshold: float,
    files: list[str],
    pages: str,
    output_format: OutputFormat,
    instruction: str,
    *settings: Any,
) -> Generator[tuple[Any, ...], None, None]:
    """Read all pages and yield the values of view.moving.

    `settings` are the values of view.sampling and view.choice.
    """
    source = choose_source(*settings[SAMPLING:])
    wording = find_preset(OCR, output_format).wording(is_embedded(engine, source["model"]))
    question = instruction.strip() or wording
    try:
        sampling = choose_sampling(*settings[:SAMPLING])
        options = ReadingOptions(question, output_format, *sampling, **source)
        steps = read_documents(stream, files, pages, options, begun.ticket)
        yield from show_steps(steps, replace(begun, results=()), cache, threshold)
    except RequestError as error:
        warn(error.text)
        ANSWERS.end(begun.ticket)


def give_more(
    stream: Stream, reading: Reading, index: int, *settings: Any
) -> Generator[tuple[Any, ...], None, None]:
    """Continue the chosen page with the current settings and yield the values of view.moving."""
    result = reading.results[index]
    try:
        values, num_crops = choose_sampling(*settings[:SAMPLING])
        source = choose_source(*settings[SAMPLING:])
        options = replace(result.options, sampling=values, num_crops=num_crops, **source)
    except RequestError as error:
        warn(error.text)
        ANSWERS.end(reading.ticket)
        return
    results = list(reading.results)
    results[index] = replace(result, options=options)
    reading = replace(reading, results=tuple(results))
    yield from show_steps(continue_page(stream, reading, index), reading)


def show_steps(
    steps: Generator[Step, None, None], shown: Reading, cache: str = "", threshold: float = 0.0
) -> Generator[tuple[Any, ...], None, None]:
    """Yield the values of view.moving and view.shown.

    The list of results changes only when a page is done; the first result is shown at once.
    """
    last_number = 0
    ANSWERS.start(shown.ticket)
    try:
        with closing(steps):
            for step in steps:
                if ANSWERS.is_stopped(shown.ticket):
                    return
                chosen: Any = gr.skip()
                result: tuple[Any, ...] = tuple(gr.skip() for _ in range(SHOWN))
                reading = step.reading
                if step.number != last_number and len(reading.results) > len(shown.results):
                    chosen = list_results(reading)
                    if not shown.results:
                        chosen = choose_first(reading)
                        result = show_result(cache, reading, 0, threshold)
                    shown = reading
                last_number = step.number
                yield reading, show_progress(step), step.text, step.figures, chosen, *result
    finally:
        ANSWERS.end(shown.ticket)


def choose_first(reading: Reading) -> gr.Dropdown:
    """Return the list of results with its first chosen, for a list that was empty before."""
    return gr.Dropdown(name_choices(reading), value=0)


def list_results(reading: Reading) -> gr.Dropdown:
    """Return the list of results; the chosen one stays."""
    return gr.Dropdown(name_choices(reading))


def show_progress(step: Step) -> str:
    """Return the HTML of a progress bar over the pages, with the current page's name."""
    total = step.reading.total
    progress = translate(ocr_words.page_progress(step.number, total, step.name))
    text = escape(progress) if step.number else ""
    done = step.number - 1 if step.number else total
    return (
        f'<progress value="{done}" max="{total}" aria-label="{translate(ocr_words.PROGRESS)}">'
        f"</progress><div>{text}</div>"
    )


def end_reading(
    cache: str, reading: Reading, index: int | None, threshold: float
) -> tuple[Any, ...]:
    """Return the tab's values after a reading that was completed or stopped."""
    if ANSWERS.is_running(reading.ticket):  # an earlier reading has ended
        return tuple(gr.skip() for _ in range(SETTLED))
    if ANSWERS.is_discarded(reading.ticket) or not reading.ticket:  # cleared in the meantime
        return clear_reading()[1:]
    reading = replace(reading, is_running=False)
    done = len(reading.results)
    failed = sum(1 for result in reading.results if result.problem)
    text = ocr_words.all_read(done, failed)
    if done < reading.total or not done:
        text = ocr_words.partly_read(done, reading.total)
    chosen = choose_first(reading) if index is None and done else list_results(reading)
    file = save_all(reading, cache)
    save = gr.DownloadButton(value=file, interactive=file is not None)
    live = gr.Textbox("", visible=False)
    moving = (reading, escape(translate(text)), live, "", chosen)
    shown = show_result(cache, reading, index or 0, threshold)
    return *moving, *switch(is_running=False), save, *shown


def stop_reading(
    cache: str, reading: Reading, index: int | None, threshold: float
) -> tuple[Any, ...]:
    """Stop the reading and return the tab's values with what has been read."""
    ANSWERS.stop(reading.ticket)
    return end_reading(cache, reading, index, threshold)


def refuse_reading(
    cache: str, reading: Reading, index: int | None, threshold: float
) -> tuple[Any, ...]:
    """Return the tab's values after the server refused to start the reading."""
    ANSWERS.end_unstarted(reading.ticket)
    return end_reading(cache, reading, index, threshold)


def discard_reading(reading: Reading) -> tuple[Any, ...]:
    """Stop the reading and return the values of an empty tab."""
    ANSWERS.stop(reading.ticket, is_discarded=True)
    return clear_reading()


def clear_reading() -> tuple[Any, ...]:
    """Return the values of an empty tab: no files, no results."""
    live = gr.Textbox("", visible=False)
    nothing = gr.Dropdown([], value=None)
    moving = (Reading(), translate(ocr_words.READ_HINT), live, "", nothing)
    save = gr.DownloadButton(value=None, interactive=False)
    return None, *moving, *switch(is_running=False), save, *show_nothing()
