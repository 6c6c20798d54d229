"""Saving a tab's conversation as one file, and loading it again.

A loaded file is not trusted: see phi3v.results.conversation_file for its limits. Its pictures are kept like uploaded
ones, in the page's cache, and deleted with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import gradio as gr
from gradio.processing_utils import save_pil_to_cache
from gradio.utils import get_upload_folder

from phi3v.inference.checkpoint_files import find_checkpoint, find_revision
from phi3v.request import RequestError, Turn
from phi3v.results.conversation_file import Conversation, load_conversation, save_conversation
from phi3v.tasks import Task
from phi3v.ui import words
from phi3v.ui.chat.conversation import Chat, keep_shown, pictures_of, to_gallery, to_messages
from phi3v.ui.details import name_details
from phi3v.ui.i18n.languages import translate
from phi3v.ui.notices import inform, warn
from phi3v.ui.wiring import AT_ONCE, QUIET, Shown, choose_sampling, files_of

FILE_NAME = "conversation.zip"


@dataclass(frozen=True)
class Transfer:
    """The components that save and load."""

    save: gr.Button
    load: gr.UploadButton
    saved: gr.File


def lay_out_transfer() -> Transfer:
    """Place the components, the saved file out of sight until there is one."""
    with gr.Accordion(words.TRANSFER, open=False):
        with gr.Row():
            save = gr.Button(words.SAVE, size="md", min_width=100)
            load = gr.UploadButton(
                words.LOAD, file_types=[".zip"], file_count="single", size="md", min_width=100
            )
        saved = gr.File(label=words.SAVED, visible=False, interactive=False)
    return Transfer(save, load, saved)


def connect_transfer(
    task: Task, tab: Any, name_model: Callable[[], tuple[str, str]], limit_bytes: int
) -> Any:
    """Attach saving and loading; return the event that loads. name_model: see name_checkpoint."""
    tab.transfer.save.click(
        partial(save_chat, name_model, limit_bytes),
        [tab.chat, tab.pictures, *tab.sampling],
        tab.transfer.saved,
        **QUIET,
    )
    # What was saved before is not what stands there now.
    gr.on(
        [tab.ask.click, tab.clear.click, tab.retry.click],
        lambda: gr.File(None, visible=False),
        None,
        tab.transfer.saved,
        **AT_ONCE,
    )
    return tab.transfer.load.upload(
        partial(load_chat, task),
        [tab.transfer.load, tab.chat],
        [tab.pictures, tab.chat, tab.chatbot, tab.question, tab.figures, *tab.sampling],
        **QUIET,
    )


@lru_cache(maxsize=4)
def find_revision_of(name: str) -> str:
    """A loaded checkpoint's revision; "" where there are no files of that name."""
    try:
        return find_revision(find_checkpoint(name))
    except RequestError:
        return ""


def name_checkpoint(engine: Any) -> tuple[str, str]:
    """The name and the revision of what answers; where a folder lies is nobody's business."""
    if getattr(engine, "is_loading", False):
        return engine.name, ""
    name = Path(engine.name).name if Path(engine.name).is_dir() else engine.name
    return name, find_revision_of(engine.name)


def save_chat(
    name_model: Callable[[], tuple[str, str]],
    limit_bytes: int,
    chat: Chat,
    shown: Shown,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    seed: int | None,
    num_crops: str,
) -> Any:
    """Write the conversation, with the settings of now, to a file that can be downloaded."""
    try:
        turns = answered(keep_shown(chat.turns, files_of(shown)))
        if not turns:
            raise RequestError(words.NOTHING_TO_SAVE)
        sampling = choose_sampling(max_new_tokens, temperature, top_p, seed, num_crops)
        folder = Path(get_upload_folder()) / uuid4().hex
        folder.mkdir(parents=True)
        path = folder / FILE_NAME
        save_conversation(Conversation(turns, *name_model(), *sampling), path)
    except RequestError as error:
        warn(error.text)
        return gr.skip()
    if path.stat().st_size > limit_bytes:
        inform(words.too_large_to_load(path.stat().st_size, limit_bytes))
    return gr.File(str(path), visible=True)


def answered(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """A conversation up to its last answer."""
    return tuple(turns[:-1]) if turns and turns[-1].role == "user" else tuple(turns)


def load_chat(task: Task, path: str, chat: Chat) -> tuple[Any, ...]:
    """Put a saved conversation in place of the tab's, with the settings it was held with.

    A question that was not answered goes into its box, its pictures to the others.
    """
    try:
        if chat.ticket:
            raise RequestError(words.BUSY)
        loaded = load_conversation(Path(path), words.SAVED_FILE)
        check_order(loaded.turns)
    except RequestError as error:
        warn(error.text)
        return tuple(gr.skip() for _ in range(10))
    turns = tuple(keep_pictures(turn) for turn in loaded.turns)
    settled = answered(turns)
    question = turns[-1].text if len(settled) < len(turns) else ""
    return (
        to_gallery(pictures_of(turns)),
        Chat(settled),
        to_messages(settled, task.is_verbatim),
        question,
        translate(words.loaded(loaded.model, loaded.revision)),
        *show_settings(loaded),
    )


def check_order(turns: Sequence[Turn]) -> None:
    """Raise RequestError unless questions and answers take turns, a question first."""
    expected = ("user", "assistant")
    if not turns or any(turn.role != expected[i % 2] for i, turn in enumerate(turns)):
        raise RequestError(words.NOT_IN_TURNS)


def keep_pictures(turn: Turn) -> Turn:
    """A turn whose pictures are files of the page's cache."""
    paths = (
        save_pil_to_cache(image, cache_dir=get_upload_folder(), format="png")
        for image in turn.images
    )
    return Turn(turn.role, turn.text, tuple(str(Path(path).resolve()) for path in paths))


def show_settings(loaded: Conversation) -> tuple[Any, ...]:
    """The values of the settings, in the order in which a tab has them."""
    sampling = loaded.sampling
    crops = "auto" if loaded.num_crops is None else str(loaded.num_crops)
    return (
        gr.Slider(maximum=max(2048, sampling.max_new_tokens), value=sampling.max_new_tokens),
        sampling.temperature,
        sampling.top_p,
        -1 if sampling.seed is None else sampling.seed,
        gr.Radio(name_details(loaded.num_crops or "auto"), value=crops),
    )
