"""The components of a chat tab and their layout; events are in phi3v.ui.chat.events."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from phi3v.settings import Settings
from phi3v.tasks import COMPARE, Task, presets_of
from phi3v.ui import words
from phi3v.ui.chat.conversation import Answer, Chat
from phi3v.ui.chat.order import Order, lay_out_order
from phi3v.ui.chat.strip import Strip, lay_out_strip
from phi3v.ui.chat.transfer import Transfer, lay_out_transfer
from phi3v.ui.choosing import Choice, lay_out_choice
from phi3v.ui.compare.layout import CompareView, lay_out_comparison
from phi3v.ui.details import name_details

CSS = """
.note p, .figures p { font-size: var(--text-sm); }
.figures { min-height: 1.6em; }
.reading-progress progress { width: 100%; accent-color: var(--color-accent); }
/* Without this a gallery of fixed height cuts off the row of its sources. */
.pictures:has(> .source-selection) { display: flex; flex-direction: column; }
.pictures > .upload-wrapper, .pictures > .upload-wrapper ~ .wrap { flex: 1; min-height: 0; }
.pictures > .hidden-upload-input ~ .wrap { flex: 1; min-height: 0; }
/* Their labels would cover the first picture, and parts of the comparison. */
.pictures .grid-container, .crops .grid-container { margin-top: var(--size-6); }
.block.slider, .block.changes { display: flex; flex-direction: column; }
.block.slider > label.float, .block.changes > label.float {
  position: static;
  align-self: flex-start;
}
.block.slider > :last-child, .block.changes > .image-container { flex: 1; min-height: 0; }
/* As large as on the slider above it. */
.block.changes .image-frame img { width: 100%; height: 100%; object-fit: contain; }
/* A file input inside a button is a nested control, which accessibility rules forbid. */
.pictures button input[type="file"] { display: none; }
/* Fits four buttons into a row on a phone. */
@media (max-width: 480px) {
  .row > button.md { font-size: var(--text-sm); padding-inline: var(--size-1); }
}
/* The accent's usual shade is too faint for text on white. */
button[role="tab"].selected { color: var(--primary-700); }
.dark button[role="tab"].selected { color: var(--primary-400); }
/* The button that records videos, which no task accepts. */
.pictures [aria-label="Record video from camera"], .pictures [aria-label="common.video"] {
  display: none;
}
"""
# Gradio nests its upload button in a second button that does nothing. The script makes the outer
# one a group, so that the keyboard skips it and screen readers do not announce it as a button.
HEAD = """
<script>
new MutationObserver(() => {
  for (const outer of document.querySelectorAll("button:has(button):not([role])")) {
    outer.role = "group";
    outer.tabIndex = -1;
  }
}).observe(document, { childList: true, subtree: true });
</script>
"""


@dataclass(frozen=True)
class Tab:
    """The components of one tab. chat and answer are session state, separate for each user.

    typed is an invisible copy of question, see phi3v.ui.chat.estimating.
    """

    chat: gr.State
    answer: gr.State
    pictures: gr.Gallery
    address: gr.Textbox
    chatbot: gr.Chatbot
    figures: gr.Markdown
    question: gr.Textbox
    ask: gr.Button
    stop: gr.Button
    retry: gr.Button
    clear: gr.Button
    continue_button: gr.Button
    examples: gr.Dataset
    sampling: tuple[gr.Component, ...]
    choice: Choice
    typed: gr.Textbox
    estimate: gr.Markdown
    shows_crops: gr.Checkbox
    crops: gr.Gallery
    preset: gr.Dropdown
    order: Order
    strip: Strip
    transfer: Transfer
    comparison: CompareView | None = None

    @property
    def settled(self) -> list[gr.components.Component | gr.State]:
        """The components that change when an answer begins or ends."""
        return [self.chat, self.chatbot, self.question, self.figures, *self.buttons]

    @property
    def buttons(self) -> tuple[gr.Button, ...]:
        """The buttons that set_buttons updates when an answer begins and ends."""
        return self.ask, self.stop, self.retry, self.continue_button


def set_buttons(is_answering: bool, can_continue: bool = False) -> tuple[gr.Button, ...]:
    """Return updates for Tab.buttons, by whether an answer is running or can be continued."""
    return (
        gr.Button(interactive=not is_answering),
        gr.Button(interactive=is_answering, variant="stop" if is_answering else "secondary"),
        gr.Button(interactive=not is_answering),
        gr.Button(visible=can_continue and not is_answering),
    )


def lay_out_tab(task: Task, settings: Settings, title: str = "", engine: object = None) -> Tab:
    """Create a task's components: images left, conversation right, examples below.

    The engine's models, if it has several, are offered.
    """
    with gr.Tab(title or task.title, id=task.name):
        chat, answer = gr.State(Chat()), gr.State(Answer())
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                pictures, order, address = lay_out_pictures()
                strip = lay_out_strip()
                estimate = lay_out_estimate()
                choice = lay_out_choice(engine, settings)
                sampling = lay_out_sampling(settings)
                transfer = lay_out_transfer()
            comparison = None
            if task is COMPARE:
                with gr.Column(scale=3, min_width=320):
                    comparison = lay_out_comparison()
            with gr.Column(scale=3, min_width=320):
                chatbot, figures = lay_out_chat(task)
                preset = lay_out_presets(task)
                question = gr.Textbox(
                    label=words.QUESTION, placeholder=task.default_prompt, lines=1, max_lines=6
                )
                ask, stop, retry, clear, continue_button = lay_out_buttons()
        examples = lay_out_examples(task)
    return Tab(
        chat, answer, pictures, address, chatbot, figures, question, ask, stop, retry, clear,
        continue_button, examples, sampling, choice, *estimate, preset, order, strip, transfer,
        comparison,
    )  # fmt: skip


def lay_out_chat(task: Task) -> tuple[gr.Chatbot, gr.Markdown]:
    """Create the conversation and the status line below it."""
    chatbot = gr.Chatbot(
        label=words.CHAT,
        height=360,
        buttons=["copy", "copy_all"],
        layout="bubble",
        editable="user",
        feedback_options=None,
        render_markdown=not task.is_verbatim,
        placeholder=task.hint,
    )
    return chatbot, gr.Markdown(elem_classes="figures")


def lay_out_buttons() -> tuple[gr.Button, ...]:
    """Create Ask, Stop, Retry, Clear, and Continue, which is visible after a cut answer."""
    small: dict[str, Any] = {"size": "md", "min_width": 60}
    with gr.Row():
        return (
            gr.Button(words.ASK, variant="primary", **small),
            gr.Button(words.STOP, interactive=False, **small),
            gr.Button(words.RETRY, **small),
            gr.Button(words.CLEAR, **small),
            gr.Button(words.CONTINUE, visible=False, **small),
        )


def lay_out_pictures() -> tuple[gr.Gallery, Order, gr.Textbox]:
    """Create the gallery of a conversation, its move buttons, and the box for a web address."""
    pictures = gr.Gallery(
        label=words.PICTURES,
        interactive=True,
        sources=["upload", "webcam", "clipboard"],
        columns=2,
        fit_columns=False,
        height=340,
        object_fit="contain",
        format="png",
        buttons=["fullscreen"],
        elem_classes="pictures",
    )
    order = lay_out_order()
    address = gr.Textbox(
        label=words.ADDRESS, placeholder=words.ADDRESS_HINT, submit_btn=words.ADD, max_lines=1
    )
    return pictures, order, address


def lay_out_estimate() -> tuple[gr.Textbox, gr.Markdown, gr.Checkbox, gr.Gallery]:
    """Create the copy of the question, the estimate, the checkbox for crops, and the crops."""
    typed = gr.Textbox("", visible=False)
    estimate = gr.Markdown(elem_classes=["note", "estimate"])
    shows_crops = gr.Checkbox(label=words.SHOW_CROPS, visible=False)
    crops = gr.Gallery(
        label=words.CROPS,
        columns=2,
        fit_columns=False,
        height=300,
        object_fit="contain",
        visible=False,
        buttons=["fullscreen"],
        elem_classes="crops",
    )
    return typed, estimate, shows_crops, crops


def lay_out_presets(task: Task) -> gr.Dropdown:
    """Create the menu of ready questions; a chosen one fills the question's box, to be edited."""
    presets = presets_of(task)
    return gr.Dropdown(
        [(preset.title, preset.name) for preset in presets],
        value=None,
        label=words.PRESETS,
        visible=len(presets) > 1,
        filterable=False,
    )


def lay_out_examples(task: Task) -> gr.Dataset:
    """Create the examples: images with a question, asked on a click."""
    return gr.Dataset(
        label=words.EXAMPLES,
        components=[gr.Gallery(render=False), gr.Textbox(render=False)],
        headers=[words.EXAMPLE_PICTURES, words.QUESTION],
        samples=[[list(map(str, example.paths)), example.question] for example in task.examples],
        type="index",
    )


def lay_out_sampling(settings: Settings) -> tuple[gr.Component, ...]:
    """Create the inputs max_new_tokens, temperature, top_p, seed and num_crops, in this order."""
    num_crops = gr.Radio(
        name_details(settings.num_crops),
        value=str(settings.num_crops),
        label=words.NUM_CROPS,
        info=words.NUM_CROPS_HINT,
    )
    with gr.Accordion(words.SETTINGS, open=False):
        max_new_tokens = gr.Slider(
            1,
            max(2048, settings.max_new_tokens),
            settings.max_new_tokens,
            step=1,
            label=words.MAX_NEW_TOKENS,
        )
        temperature = gr.Slider(
            0.0, 2.0, 0.0, step=0.1, label=words.TEMPERATURE, info=words.TEMPERATURE_HINT
        )
        top_p = gr.Slider(0.05, 1.0, 1.0, step=0.05, label=words.TOP_P, info=words.TOP_P_HINT)
        seed = gr.Number(-1, precision=0, label=words.SEED, info=words.SEED_HINT)
    return max_new_tokens, temperature, top_p, seed, num_crops
