"""Updates of the components that show the chosen page's result."""

import json
from typing import Any

import gradio as gr

from phi3v.results.formats import OutputFormat
from phi3v.ui.ocr.reading import Reading
from phi3v.ui.ocr.results import mark_words, note_result, read_table, save_result


def show_result(
    cache: str, reading: Reading, index: int | None, threshold: float
) -> tuple[Any, ...]:
    """Return the values of view.shown for the chosen page."""
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
    """Return the values of view.shown while no page is chosen."""
    nothing = gr.DownloadButton(value=None, interactive=False)
    return "", *render("", "text"), "", "", None, nothing, disable_button()


def render(text: str, output_format: OutputFormat) -> tuple[Any, ...]:
    """Return updates for text, Markdown, JSON and table; only the format's own is visible."""
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
    """Return a table whose first row is the header."""
    return gr.Dataframe(value={"headers": rows[0], "data": rows[1:]}, visible=True)


def mark_chosen(reading: Reading, index: int | None, threshold: float) -> tuple[Any, str]:
    """Mark the chosen page's unsure words for another threshold, without reading it again."""
    if index is None or index >= len(reading.results):
        return None, ""
    return mark_words(reading.results[index], threshold)


def disable_button() -> gr.Button:
    """Return the update that disables a button."""
    return gr.Button(interactive=False)
