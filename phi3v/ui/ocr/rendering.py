"""Updates of the components that show the chosen page's result."""

from typing import Any

import gradio as gr

from phi3v.results.formats import Formatted
from phi3v.results.records import show_numbers
from phi3v.ui.markdown import disarm
from phi3v.ui.ocr.reading import Reading
from phi3v.ui.ocr.results import mark_words, note_result, pad_table, save_result


def show_result(
    cache: str, reading: Reading, index: int | None, threshold: float
) -> tuple[Any, ...]:
    """Return the values of view.shown for the chosen page."""
    if index is None or index >= len(reading.results):
        return show_nothing()
    result = reading.results[index]
    formatted = result.formatted()
    file = save_result(reading, index, cache)
    marked, line = mark_words(result, threshold)
    return (
        disarm(note_result(result)),
        *render(formatted),
        formatted.text,
        result.layer,
        line,
        marked,
        gr.DownloadButton(value=file, interactive=file is not None),
        gr.Button(interactive=result.can_continue and not reading.is_running),
    )


def show_nothing() -> tuple[Any, ...]:
    """Return the values of view.shown while no page is chosen."""
    nothing = gr.DownloadButton(value=None, interactive=False)
    return "", *render(Formatted("", "text")), "", "", "", None, nothing, disable_button()


def render(formatted: Formatted) -> tuple[Any, ...]:
    """Return updates for text, Markdown, JSON and table; only the format's own is visible.

    What does not fit its format is shown as text.
    """
    text = formatted.text
    output_format = formatted.output_format if formatted.fits else "text"
    return (
        gr.Textbox(text, visible=output_format == "text"),
        gr.Markdown(
            disarm(text) if output_format == "markdown" else "", visible=output_format == "markdown"
        ),
        gr.JSON(
            show_numbers(formatted.value) if output_format == "json" else None,
            visible=output_format == "json",
        ),
        render_table(pad_table(formatted.value))
        if output_format == "csv"
        else gr.Dataframe(visible=False),
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
