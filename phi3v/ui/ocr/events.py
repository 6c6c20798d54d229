"""What happens where documents are read: begun, followed, stopped, gone on with, looked at."""

import json
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from phi3v.conversation.engine_protocol import StreamingEngine
from phi3v.documents.pages import parse_ranges
from phi3v.inference.background_loading import LoadingEngine
from phi3v.request import RequestError
from phi3v.results.formats import OutputFormat
from phi3v.tasks import OCR, find_preset
from phi3v.ui import words
from phi3v.ui.answering import Stream
from phi3v.ui.i18n.languages import translate
from phi3v.ui.notices import warn
from phi3v.ui.ocr import words as ocr_words
from phi3v.ui.ocr.layout import ReadingView
from phi3v.ui.ocr.reading import Asked, Reading, Step, continue_page, read_documents
from phi3v.ui.ocr.results import (
    mark_words,
    name_choices,
    note_result,
    read_table,
    save_all,
    save_result,
)
from phi3v.ui.wiring import AT_ONCE, QUIET, choose_sampling

# Pages wait in the engine's own line, one by one: a long document lets other people's questions in
# between. So many documents at once hold a drawn page in memory.
READING_QUEUE = {"concurrency_id": "reading", "concurrency_limit": 4}


def connect_reading(
    engine: StreamingEngine | LoadingEngine, view: ReadingView, stream: Stream
) -> None:
    """Attach the events."""
    quiet = QUIET | {"show_progress_on": [view.figures]}
    line = quiet | READING_QUEUE
    asked = [view.files, view.pages, view.reading]
    begun = [*view.moving, *view.buttons, view.continue_button]
    begin = view.read.click(begin_reading, asked, begun, validator=check_files, **quiet)
    inputs = [view.files, view.pages, view.output_format, view.instruction, *view.sampling]
    reading = begin.success(partial(give_reading, engine, stream), inputs, view.moving, **line)
    place = [view.reading, view.chosen]
    begin = view.continue_button.click(begin_more, place, begun, validator=check_more, **quiet)
    more = begin.success(partial(give_more, stream), [*place, *view.sampling], view.moving, **line)
    choose = [*place, view.threshold]
    choosing = partial(show_result, view.raw.GRADIO_CACHE)
    for event in (reading, more):
        event.then(
            partial(end_reading, view.raw.GRADIO_CACHE),
            place,
            [*view.moving, *view.buttons, view.save_all],
            **AT_ONCE,
        ).then(choosing, choose, view.shown, **AT_ONCE)
    view.chosen.change(choosing, choose, view.shown, **AT_ONCE)
    view.threshold.change(mark_chosen, choose, [view.marked, view.unsure], **AT_ONCE)
    view.stop.click(None, cancels=[reading, more])
    view.clear.click(None, cancels=[reading, more])
    cleared = [view.files, *begun, view.save_all, *view.shown[:-1]]
    view.clear.click(clear_reading, None, cleared, **AT_ONCE)


def check_files(files: list[str] | None, pages: str, reading: Reading) -> list[Any]:
    """Say at its box what is missing or wrong before anything is read."""
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
    """Say at the list of results why the one chosen cannot go on."""
    fine = gr.validate(True, "")
    if reading.is_running:
        return [fine, gr.validate(False, translate(ocr_words.READING_ALREADY))]
    if index is None or not reading.results[index].can_continue:
        return [fine, gr.validate(False, translate(ocr_words.NOTHING_CUT))]
    return [fine, fine]


def begin_reading(files: list[str], pages: str, reading: Reading) -> tuple[Any, ...]:
    """Forget the results before, and show that pages are waiting to be read."""
    return show_begun(Reading(is_running=True), gr.Dropdown([], value=None))


def begin_more(reading: Reading, index: int) -> tuple[Any, ...]:
    """Show that a page is waiting to go on."""
    return show_begun(replace(reading, is_running=True), gr.skip())


def show_begun(reading: Reading, chosen: Any) -> tuple[Any, ...]:
    """The values of what moves, of the buttons, and of Continue while the first word is awaited."""
    live = gr.Textbox("", visible=True)
    return reading, "", live, translate(words.WAITING), chosen, *switch(is_running=True), off()


def switch(is_running: bool) -> tuple[gr.Button, gr.Button]:
    """Read and Stop as they can be used now."""
    return (
        gr.Button(interactive=not is_running),
        gr.Button(interactive=is_running, variant="stop" if is_running else "secondary"),
    )


def off() -> gr.Button:
    """A button that cannot be used now."""
    return gr.Button(interactive=False)


def give_reading(
    engine: StreamingEngine | LoadingEngine,
    stream: Stream,
    files: list[str],
    pages: str,
    output_format: OutputFormat,
    instruction: str,
    *sampling: Any,
) -> Generator[tuple[Any, ...], None, None]:
    """Read all pages, showing each as it comes."""
    question = instruction.strip() or find_preset(OCR, output_format).wording(engine.is_embedded)
    try:
        asked = Asked(question, output_format, *choose_sampling(*sampling))
        with closing(read_documents(stream, files, pages, asked)) as steps:
            yield from show_steps(steps, Reading())
    except RequestError as error:
        warn(error.text)


def give_more(
    stream: Stream, reading: Reading, index: int, *sampling: Any
) -> Generator[tuple[Any, ...], None, None]:
    """Go on with the page that is chosen, by the settings as they are now."""
    result = reading.results[index]
    try:
        values, num_crops = choose_sampling(*sampling)
        asked = replace(result.asked, sampling=values, num_crops=num_crops)
    except RequestError as error:
        warn(error.text)
        return
    results = list(reading.results)
    results[index] = replace(result, asked=asked)
    reading = replace(reading, results=tuple(results))
    with closing(continue_page(stream, reading, index)) as steps:
        yield from show_steps(steps, reading)


def show_steps(
    steps: Generator[Step, None, None], shown: Reading
) -> Generator[tuple[Any, ...], None, None]:
    """What moves, step by step; the list of results only when a page is done."""
    last_number = 0
    for step in steps:
        chosen: Any = gr.skip()
        reading = step.reading
        if step.number != last_number and len(reading.results) > len(shown.results):
            chosen = choose_first(reading) if not shown.results else list_results(reading)
            shown = reading
        last_number = step.number
        yield reading, show_progress(step), step.text, step.figures, chosen


def choose_first(reading: Reading) -> gr.Dropdown:
    """The list of results with its first chosen, when it is no longer empty."""
    return gr.Dropdown(name_choices(reading), value=0)


def list_results(reading: Reading) -> gr.Dropdown:
    """The list of results; whichever is chosen stays."""
    return gr.Dropdown(name_choices(reading))


def show_progress(step: Step) -> str:
    """A bar over the pages, and which one is on."""
    total = step.reading.total
    progress = translate(ocr_words.page_progress(step.number, total, step.name))
    text = escape(progress) if step.number else ""
    done = step.number - 1 if step.number else total
    return (
        f'<progress value="{done}" max="{total}" aria-label="{translate(ocr_words.PROGRESS)}">'
        f"</progress><div>{text}</div>"
    )


def end_reading(cache: str, reading: Reading, index: int | None) -> tuple[Any, ...]:
    """Make the tab ready again, with what has been read, whole or stopped."""
    if not reading.is_running and not reading.results:  # cleared meanwhile
        return tuple(gr.skip() for _ in range(8))
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
    return reading, escape(translate(text)), live, "", chosen, *switch(is_running=False), save


def show_result(
    cache: str, reading: Reading, index: int | None, threshold: float
) -> tuple[Any, ...]:
    """The values of what depends on which page is chosen."""
    if index is None or index >= len(reading.results):
        return show_nothing()
    result = reading.results[index]
    formatted = result.formatted()
    has_format = not formatted.problem
    file = save_result(reading, index, cache)
    marked, line = mark_words(result, threshold)
    return (
        note_result(result),
        *render(formatted.text, formatted.output_format if has_format else "text"),
        formatted.text,
        line,
        marked,
        gr.DownloadButton(value=file, interactive=file is not None),
        gr.Button(interactive=result.can_continue and not reading.is_running),
    )


def show_nothing() -> tuple[Any, ...]:
    """The same while no page is chosen."""
    nothing = gr.DownloadButton(value=None, interactive=False)
    return "", *render("", "text"), "", "", None, nothing, off()


def render(text: str, output_format: OutputFormat) -> tuple[Any, ...]:
    """The text, Markdown, JSON and table of which the one that fits is visible."""
    return (
        gr.Textbox(text, visible=output_format == "text"),
        gr.Markdown(
            text if output_format == "markdown" else "", visible=output_format == "markdown"
        ),
        gr.JSON(
            json.loads(text) if output_format == "json" else None, visible=output_format == "json"
        ),
        render_table(read_table(text)) if output_format == "csv" else gr.Dataframe(visible=False),
    )


def render_table(rows: list[list[str]]) -> gr.Dataframe:
    """A table whose first row names its columns."""
    return gr.Dataframe(value={"headers": rows[0], "data": rows[1:]}, visible=True)


def mark_chosen(reading: Reading, index: int | None, threshold: float) -> tuple[Any, str]:
    """The unsure words of the page that is chosen; nothing is read again."""
    if index is None or index >= len(reading.results):
        return None, ""
    return mark_words(reading.results[index], threshold)


def clear_reading() -> tuple[Any, ...]:
    """Forget the files and what was read."""
    live = gr.Textbox("", visible=False)
    nothing = gr.Dropdown([], value=None)
    begun = (
        Reading(),
        translate(ocr_words.READ_HINT),
        live,
        "",
        nothing,
        *switch(is_running=False),
        off(),
    )
    save = gr.DownloadButton(value=None, interactive=False)
    return None, *begun, save, *show_nothing()[:-1]
