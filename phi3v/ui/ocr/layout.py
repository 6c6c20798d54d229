"""The components of the OCR tab's documents part; events are in phi3v.ui.ocr.events."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from phi3v.conversation.confidence import DEFAULT_THRESHOLD
from phi3v.documents.formats import DOCUMENT_TYPES
from phi3v.settings import Settings
from phi3v.tasks import OCR, presets_of
from phi3v.ui import words
from phi3v.ui.chat.layout import lay_out_sampling
from phi3v.ui.choosing import Choice, lay_out_choice
from phi3v.ui.ocr import words as ocr_words
from phi3v.ui.ocr.reading import Reading
from phi3v.ui.ocr.results import UNSURE


@dataclass(frozen=True)
class ReadingView:
    """The components. reading is session state, separate for each user."""

    reading: gr.State
    files: gr.File
    pages: gr.Textbox
    output_format: gr.Radio
    instruction: gr.Textbox
    sampling: tuple[gr.Component, ...]
    choice: Choice
    read: gr.Button
    stop: gr.Button
    continue_button: gr.Button
    clear: gr.Button
    progress: gr.HTML
    live: gr.Textbox
    figures: gr.Markdown
    chosen: gr.Dropdown
    note: gr.Markdown
    rendered: tuple[gr.Textbox, gr.Markdown, gr.JSON, gr.Dataframe]
    raw: gr.Textbox
    layer: gr.Textbox
    threshold: gr.Slider
    unsure: gr.Markdown
    marked: gr.HighlightedText
    save_page: gr.DownloadButton
    save_all: gr.DownloadButton

    @property
    def shown(self) -> list[gr.components.Component]:
        """The components that depend on the chosen page."""
        return [
            self.note, *self.rendered, self.raw, self.layer, self.unsure, self.marked,
            self.save_page, self.continue_button,
        ]  # fmt: skip

    @property
    def moving(self) -> list[gr.components.Component]:
        """The components that change while pages are read."""
        return [self.reading, self.progress, self.live, self.figures, self.chosen]

    @property
    def buttons(self) -> list[gr.Button]:
        """The buttons that are enabled by whether pages are being read."""
        return [self.read, self.stop]


def lay_out_reading(settings: Settings, engine: object = None) -> ReadingView:
    """Create the components: inputs left, results right."""
    with gr.Tab(ocr_words.DOCUMENTS, id="documents"), gr.Row():
        with gr.Column(scale=2, min_width=320):
            inputs = lay_out_inputs(settings, engine)
        with gr.Column(scale=3, min_width=320):
            outputs = lay_out_outputs()
    return ReadingView(gr.State(Reading()), *inputs, *outputs)


def lay_out_inputs(settings: Settings, engine: object) -> tuple[Any, ...]:
    """Create files, pages, format, instruction, settings, and the buttons."""
    files = gr.File(
        label=ocr_words.FILES, file_count="multiple", file_types=DOCUMENT_TYPES, height=180
    )
    pages = gr.Textbox(label=ocr_words.PAGES, placeholder=ocr_words.PAGES_HINT, max_lines=1)
    formats = [(preset.title, preset.output_format) for preset in presets_of(OCR)]
    output_format = gr.Radio(formats, value=formats[0][1], label=ocr_words.FORMAT)
    instruction = gr.Textbox(label=ocr_words.INSTRUCTION, lines=1, max_lines=4)
    choice = lay_out_choice(engine, settings)
    sampling = lay_out_sampling(settings)
    small: dict[str, Any] = {"size": "md", "min_width": 60}
    with gr.Row():
        buttons = (
            gr.Button(ocr_words.READ, variant="primary", **small),
            gr.Button(words.STOP, interactive=False, **small),
            gr.Button(words.CONTINUE, interactive=False, **small),
            gr.Button(words.CLEAR, **small),
        )
    return files, pages, output_format, instruction, sampling, choice, *buttons


def lay_out_outputs() -> tuple[Any, ...]:
    """Create the progress, the results, and their downloads."""
    progress = gr.HTML(ocr_words.READ_HINT, elem_classes="reading-progress")
    live = gr.Textbox(
        label=ocr_words.BEING_READ, lines=4, max_lines=4, visible=False, elem_classes="live"
    )
    figures = gr.Markdown(elem_classes="figures")
    chosen = gr.Dropdown([], label=ocr_words.RESULTS, interactive=True, filterable=False)
    note = gr.Markdown(elem_classes="note")
    with gr.Tabs():
        with gr.Tab(ocr_words.RESULT):
            rendered = (
                gr.Textbox(
                    label=ocr_words.RESULT,
                    lines=8,
                    max_lines=24,
                    buttons=["copy"],
                    elem_classes="result",
                ),
                gr.Markdown(
                    label=ocr_words.RESULT,
                    latex_delimiters=[],
                    visible=False,
                    container=True,
                    buttons=["copy"],
                    elem_classes="written",
                ),
                gr.JSON(label=ocr_words.RESULT, visible=False),
                gr.Dataframe(label=ocr_words.RESULT, visible=False, interactive=False, wrap=True),
            )
        with gr.Tab(ocr_words.RAW):
            raw = gr.Textbox(label=ocr_words.RAW, lines=8, max_lines=24, buttons=["copy"])
            # Not a tab of its own: a fourth would hide the third on a phone.
            layer = gr.Textbox(label=ocr_words.TEXT_LAYER, lines=8, max_lines=24, buttons=["copy"])
        with gr.Tab(ocr_words.UNSURE_WORDS):
            threshold = gr.Slider(0, 1, DEFAULT_THRESHOLD, step=0.05, label=ocr_words.THRESHOLD)
            unsure = gr.Markdown(elem_classes="note")
            marked = gr.HighlightedText(
                label=ocr_words.UNSURE_WORDS,
                color_map={UNSURE: "orange"},
                show_inline_category=False,
                combine_adjacent=False,
            )
    with gr.Row():
        saves = (
            gr.DownloadButton(ocr_words.SAVE_PAGE, interactive=False, size="md"),
            gr.DownloadButton(ocr_words.SAVE_ALL, interactive=False, size="md"),
        )
    texts = rendered, raw, layer, threshold, unsure, marked
    return progress, live, figures, chosen, note, *texts, *saves
