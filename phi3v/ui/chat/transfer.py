"""Saves a tab's conversation as one file, and loads it again.

A loaded file is not trusted: see phi3v.results.conversation_file for its limits. Its images are
stored like uploads, in the page's cache, and deleted with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import gradio as gr
from gradio.processing_utils import save_pil_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from phi3v.conversation.engine_protocol import StreamingEngine
from phi3v.request import RequestError, Turn
from phi3v.results.conversation_file import Conversation, load_conversation, save_conversation
from phi3v.tasks import Task
from phi3v.ui import words
from phi3v.ui.chat.conversation import Chat, keep_shown, pictures_of, to_gallery, to_messages
from phi3v.ui.choosing import find_checkpoint_name
from phi3v.ui.details import name_details
from phi3v.ui.i18n.languages import translate
from phi3v.ui.markdown import disarm
from phi3v.ui.notices import inform, warn
from phi3v.ui.wiring import QUIET, UNQUEUED, Shown, choose_sampling, files_of, hide_folder

FILE_NAME = "conversation.zip"

# From a loaded conversation's model and adapter to updates of the menus of both.
ShowSource = Callable[[str, str], tuple[Any, Any]]


def keep_source(model: str, adapter: str) -> tuple[Any, Any]:
    """Leave both menus as they are."""
    return gr.skip(), gr.skip()


@dataclass(frozen=True)
class Transfer:
    """The components that save and load."""

    save: gr.Button
    load: gr.UploadButton
    saved: gr.File


def lay_out_transfer() -> Transfer:
    """Create the components; the saved file is invisible until there is one."""
    with gr.Accordion(words.TRANSFER, open=False):
        with gr.Row():
            save = gr.Button(words.SAVE, size="md", min_width=100)
            load = gr.UploadButton(
                words.LOAD, file_types=[".zip"], file_count="single", size="md", min_width=100
            )
        saved = gr.File(label=words.SAVED, visible=False, interactive=False)
    return Transfer(save, load, saved)


def connect_transfer(
    task: Task,
    tab: Any,
    name_model: Callable[..., tuple[str, str]],
    limit_bytes: int,
    show_source: ShowSource,
) -> Any:
    """Attach saving and loading; return the event that loads.

    name_model returns the name and revision of the chosen model, see name_checkpoint; show_source
    chooses a loaded conversation's model and adapter.
    """
    tab.transfer.save.click(
        partial(save_chat, name_model, limit_bytes),
        [tab.chat, tab.pictures, *tab.sampling, *tab.choice],
        tab.transfer.saved,
        **QUIET,
    )
    # The saved file no longer matches a conversation that has changed.
    gr.on(
        [tab.ask.click, tab.clear.click, tab.retry.click],
        lambda: gr.File(None, visible=False),
        None,
        tab.transfer.saved,
        **UNQUEUED,
    )
    return tab.transfer.load.upload(
        partial(load_chat, task, show_source=show_source),
        [tab.transfer.load, tab.chat],
        [
            *(tab.pictures, tab.chat, tab.chatbot, tab.question, tab.figures),
            *(*tab.sampling, *tab.choice),
        ],
        **QUIET,
    )


def name_checkpoint(engine: StreamingEngine, model: str | None = None) -> tuple[str, str]:
    """Return the chosen model's name and revision; of a folder only the last part.

    The revision is that of the loaded model: one that was chosen and not asked yet has none.
    """
    checkpoint = find_checkpoint_name(engine, model)
    if engine.status.state == "loading":
        return model or checkpoint, ""
    is_loaded = checkpoint == engine.name
    return model or hide_folder(checkpoint), engine.revision if is_loaded else ""


def save_chat(
    name_model: Callable[..., tuple[str, str]],
    limit_bytes: int,
    chat: Chat,
    shown: Shown,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    seed: int | None,
    num_crops: str,
    model: str | None = None,
    adapter: str | None = None,
) -> Any:
    """Write the conversation and current settings to a file, and return it for download.

    A question without an answer is left out.
    """
    try:
        turns = drop_unanswered(keep_shown(chat.turns, files_of(shown)))
        if not turns:
            raise RequestError(words.NOTHING_TO_SAVE)
        sampling = choose_sampling(max_new_tokens, temperature, top_p, seed, num_crops)
        folder = Path(get_upload_folder()) / uuid4().hex
        folder.mkdir(parents=True)
        path = folder / FILE_NAME
        named = name_model(model) if model else name_model()
        saved = Conversation(turns, *named, *sampling, adapter=adapter or "")
        save_conversation(saved, path)
    except RequestError as error:
        warn(error.text)
        return gr.skip()
    if path.stat().st_size > limit_bytes:
        inform(words.too_large_to_load(path.stat().st_size, limit_bytes))
    return gr.File(str(path), visible=True)


def drop_unanswered(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return a conversation up to its last answer."""
    return tuple(turns[:-1]) if turns and turns[-1].role == "user" else tuple(turns)


def load_chat(
    task: Task, path: str, chat: Chat, show_source: ShowSource = keep_source
) -> tuple[Any, ...]:
    """Return a saved conversation and its settings as the tab's new values.

    A question without an answer goes into the question's box, its images into the gallery. A file
    that is refused changes nothing and shows a warning.
    """
    try:
        if chat.ticket:
            raise RequestError(words.BUSY)
        loaded = load_conversation(Path(path), words.SAVED_FILE, keep=cache_picture)
        check_order(loaded.turns)
    except RequestError as error:
        warn(error.text)
        return tuple(gr.skip() for _ in range(12))
    turns = loaded.turns
    settled = drop_unanswered(turns)
    question = turns[-1].text if len(settled) < len(turns) else ""
    return (
        to_gallery(pictures_of(turns)),
        Chat(settled),
        to_messages(settled, task.is_verbatim),
        question,
        disarm(translate(words.loaded(loaded.model, loaded.revision, loaded.adapter))),
        *show_settings(loaded),
        *show_source(loaded.model, loaded.adapter),
    )


def check_order(turns: Sequence[Turn]) -> None:
    """Raise RequestError unless questions and answers alternate, a question first."""
    expected = ("user", "assistant")
    if not turns or any(turn.role != expected[i % 2] for i, turn in enumerate(turns)):
        raise RequestError(words.NOT_IN_TURNS)


def cache_picture(image: Image.Image) -> str:
    """Write an image to the page's cache, and return its path."""
    path = save_pil_to_cache(image, cache_dir=get_upload_folder(), format="png")
    return str(Path(path).resolve())


def show_settings(loaded: Conversation) -> tuple[Any, ...]:
    """Return the values of a tab's settings, in the order of Tab.sampling."""
    sampling = loaded.sampling
    crops = "auto" if loaded.num_crops is None else str(loaded.num_crops)
    return (
        gr.Slider(maximum=max(2048, sampling.max_new_tokens), value=sampling.max_new_tokens),
        sampling.temperature,
        sampling.top_p,
        -1 if sampling.seed is None else sampling.seed,
        gr.Radio(name_details(loaded.num_crops or "auto"), value=crops),
    )
