"""How pictures come into a tab and go: numbered, checked, without metadata, from the web."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from phi3v.documents.download import fetch_image
from phi3v.documents.images import open_image
from phi3v.documents.metadata import strip_file
from phi3v.request import RequestError
from phi3v.settings import Settings
from phi3v.tasks import Task
from phi3v.ui import words
from phi3v.ui.chat.conversation import to_gallery
from phi3v.ui.chat.layout import Tab
from phi3v.ui.chat.order import connect_order, follow_order
from phi3v.ui.compare.layout import compare_after, connect_comparison
from phi3v.ui.notices import warn
from phi3v.ui.wiring import QUIET, Shown, files_of

SHOWN_BY_BROWSERS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif"}


def connect_pictures(task: Task, tab: Tab, settings: Settings) -> None:
    """Attach the ways in which pictures come and go."""
    # However pictures come and go; what the camera takes, for one, is no upload.
    changed = tab.pictures.change(check_pictures, tab.pictures, tab.pictures, **QUIET)
    added = tab.address.submit(
        partial(add_from_address, settings.upload_limit_bytes),
        [tab.pictures, tab.address],
        [tab.pictures, tab.address],
        api_visibility="private",
    )
    if tab.comparison is not None:
        connect_comparison(tab.comparison, tab.pictures)
    for event in (changed, added, *connect_order(tab.order, tab.pictures, tab.chat)):
        follow_pictures_after(event, task, tab)


def follow_pictures_after(event: Any, task: Task, tab: Tab) -> None:
    """Once an event that changes the pictures is over, let chat, buttons, comparison follow.

    A gallery does not always tell that an event has changed it: not when it was empty before.
    """
    event = follow_order(event, task, tab.order, tab.pictures, tab.chat, tab.chatbot)
    if tab.comparison is not None:
        compare_after(event, tab.comparison, tab.pictures)


def check_pictures(shown: Shown) -> Any:
    """Number the pictures; leave out those that cannot be read, and say why."""
    files = files_of(shown)
    if shown == to_gallery(files):  # as it is after this very function, too
        return gr.skip()
    accepted: list[object] = []
    for file, caption in shown or []:
        try:
            # One with a caption has been read before.
            accepted.append(file if caption else keep_picture(file))
        except RequestError as error:
            warn(error.text)
    return to_gallery(accepted)


def keep_picture(file: str) -> object:
    """What the page keeps of a new picture: its file without metadata, or its pixels alone.

    Raises RequestError for one that cannot be read.
    """
    picture = open_image(file)
    path = Path(file).resolve()
    is_uploaded = path.is_relative_to(get_upload_folder())
    if path.suffix.lower() in SHOWN_BY_BROWSERS and (not is_uploaded or strip_file(path)):
        return file
    if is_uploaded:
        path.unlink(missing_ok=True)
    return picture


def add_from_address(limit_bytes: int, shown: Shown, address: str) -> tuple[Any, ...]:
    """Download a picture and put it to the others; the address stays if that fails."""
    try:
        if not address.strip():
            raise RequestError(words.NO_ADDRESS)
        picture = fetch_image(address, limit_bytes=limit_bytes)
    except RequestError as error:
        warn(error.text)
        return gr.skip(), gr.skip()
    return to_gallery([*files_of(shown), picture]), ""
