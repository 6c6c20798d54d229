"""Adds images to a tab and removes them: uploads and web addresses, validated and numbered.

Metadata is stripped here. Knows nothing of questions and answers.
"""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from phi3v.documents.download import fetch_file
from phi3v.documents.images import open_image
from phi3v.documents.metadata import strip_file
from phi3v.documents.sources import take_pages
from phi3v.request import RequestError
from phi3v.settings import Settings
from phi3v.tasks import Task
from phi3v.ui import words
from phi3v.ui.chat.conversation import to_gallery
from phi3v.ui.chat.layout import Tab
from phi3v.ui.chat.order import connect_order, follow_order
from phi3v.ui.chat.strip import connect_strip, save_taken
from phi3v.ui.compare.layout import compare_after, connect_comparison
from phi3v.ui.notices import warn
from phi3v.ui.wiring import QUIET, Shown, files_of

SHOWN_BY_BROWSERS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif"}


def connect_pictures(task: Task, tab: Tab, settings: Settings) -> None:
    """Attach the events that add, remove and move images."""
    # `change` covers all sources; an image from the camera, for one, does not fire `upload`.
    changed = tab.pictures.change(check_pictures, tab.pictures, tab.pictures, **QUIET)
    added = tab.address.submit(
        partial(add_from_address, settings.upload_limit_bytes),
        [tab.pictures, tab.address],
        [tab.pictures, tab.address],
        api_visibility="private",
    )
    if tab.comparison is not None:
        connect_comparison(tab.comparison, tab.pictures)
    chosen = connect_strip(tab.strip, tab.pictures)
    for event in (changed, added, *chosen, *connect_order(tab.order, tab.pictures, tab.chat)):
        follow_pictures_after(event, task, tab)


def follow_pictures_after(event: Any, task: Task, tab: Tab) -> None:
    """After an event that changes the images, update chat, buttons and comparison.

    Chained explicitly, because a gallery that was empty does not fire `change` when an event of the
    server fills it.
    """
    event = follow_order(event, task, tab.order, tab.pictures, tab.chat, tab.chatbot)
    if tab.comparison is not None:
        compare_after(event, tab.comparison, tab.pictures)


def check_pictures(shown: Shown) -> Any:
    """Return the images numbered, without unreadable ones, for each of which a warning is shown."""
    files = files_of(shown)
    if shown == to_gallery(files):  # also ends the `change` that this function itself causes
        return gr.skip()
    accepted: list[object] = []
    for file, caption in shown or []:
        try:
            # An image with a caption has been checked before.
            accepted += [file] if caption else take_file(file)
        except RequestError as error:
            warn(error.text)
    return to_gallery(accepted)


def take_file(file: str) -> list[object]:
    """Return a new file's pictures: one, without metadata, or the pages or frames of another file.

    Raises RequestError for a file that cannot be opened.
    """
    taken = take_pages(Path(file), Path(file).name)
    return [sanitize_picture(file)] if taken.is_picture else save_taken(get_upload_folder(), taken)


def sanitize_picture(file: str) -> object:
    """Return a new image's path, its metadata stripped, or its pixels where that is impossible.

    Pixels are also returned for formats that browsers do not show. Raises RequestError for a file
    that cannot be opened.
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
    """Download an image and append it; on failure show a warning and keep the address."""
    pictures: list[object]
    try:
        if not address.strip():
            raise RequestError(words.NO_ADDRESS)
        content, name = fetch_file(address, limit_bytes=limit_bytes)
        taken = take_pages(content, name)
        pictures = (
            [taken.pages[0].open()] if taken.is_picture else save_taken(get_upload_folder(), taken)
        )
    except RequestError as error:
        warn(error.text)
        return gr.skip(), gr.skip()
    return to_gallery([*files_of(shown), *pictures]), ""
