"""Order of a conversation's images: the second in the gallery is "image 2" in every question.

Images that were asked about keep their numbers, because questions and answers refer to them; those
added since can be moved. A removed one also leaves the conversation, and a note says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from phi3v.request import RequestError, Turn
from phi3v.tasks import Task
from phi3v.translatable import Text
from phi3v.ui import words
from phi3v.ui.chat.conversation import (
    Chat,
    keep_shown,
    pick_new,
    pictures_of,
    to_gallery,
    to_messages,
)
from phi3v.ui.i18n.languages import translate
from phi3v.ui.notices import inform, warn
from phi3v.ui.wiring import QUIET, UNQUEUED, Shown, files_of


@dataclass(frozen=True)
class Order:
    """The buttons that move an image, and the selected index (from 0), None before a click."""

    selected: gr.State
    earlier: gr.Button
    later: gr.Button


def lay_out_order() -> Order:
    """Create the buttons below the images."""
    selected = gr.State(None)
    with gr.Row():
        earlier, later = set_movers(None, 0)
    return Order(selected, earlier, later)


def set_movers(index: int | None, count: int) -> tuple[gr.Button, gr.Button]:
    """Return updates for both buttons with the selected image's name; disabled without one."""
    if index is None or not 0 <= index < count:
        name, is_first, is_last = Text(words.SELECTED_PICTURE), True, True
    else:
        name, is_first, is_last = words.picture_name(index + 1), index == 0, index == count - 1
    small: dict[str, Any] = {"size": "sm", "min_width": 100, "visible": count > 1}
    return (
        gr.Button(
            translate(Text(words.MOVE_EARLIER, name=name)), interactive=not is_first, **small
        ),
        gr.Button(translate(Text(words.MOVE_LATER, name=name)), interactive=not is_last, **small),
    )


def connect_order(order: Order, pictures: gr.Gallery, chat: gr.State) -> list[Any]:
    """Attach selecting and moving; return the events that move."""
    movers = [order.selected, order.earlier, order.later]

    def select(event: gr.SelectData, shown: Shown) -> tuple[Any, ...]:
        return event.index, *set_movers(event.index, len(shown or []))

    # Again once it has been shown: an answer of refresh_movers to another event may come late.
    selected = pictures.select(select, pictures, movers, **UNQUEUED)
    selected.then(refresh_movers, [pictures, order.selected], movers, **UNQUEUED)
    return [
        button.click(
            partial(move_selected, step),
            [chat, pictures, order.selected],
            [pictures, *movers],
            **QUIET,
        )
        for button, step in ((order.earlier, -1), (order.later, 1))
    ]


def follow_order(
    event: Any, task: Task, order: Order, pictures: gr.Gallery, chat: gr.State, chatbot: gr.Chatbot
) -> Any:
    """After an event that changes the images, update chat and buttons; return that update."""
    followed = event.then(
        partial(follow_pictures, task), [chat, pictures], [pictures, chat, chatbot], **QUIET
    )
    # Apart and unqueued: an image may be selected while an event waits in the queue, and must not
    # be deselected by it.
    movers = [order.selected, order.earlier, order.later]
    return followed.then(refresh_movers, [pictures, order.selected], movers, **UNQUEUED)


def move_selected(step: int, chat: Chat, shown: Shown, selected: int | None) -> tuple[Any, ...]:
    """Move the selected image by one position, or show a warning that says why it cannot move."""
    files = files_of(shown)
    try:
        files, selected = move_picture(chat.turns, files, selected, step)
    except RequestError as error:
        warn(error.text)
        return gr.skip(), selected, *set_movers(selected, len(files))
    gallery = gr.Gallery(to_gallery(files), selected_index=selected)
    return gallery, selected, *set_movers(selected, len(files))


def move_picture(
    turns: Sequence[Turn], shown: Sequence[str], index: int | None, step: int
) -> tuple[list[str], int]:
    """Return the images with the one at `index` moved by a step, and its new index.

    At the edge nothing moves. Raises RequestError without a selection, and if the image or the one
    it would swap with has been asked about.
    """
    files = list(shown)
    if index is None or not 0 <= index < len(files):
        raise RequestError(words.NONE_SELECTED)
    to = min(max(index + step, 0), len(files) - 1)
    asked = len(pictures_of(keep_shown(turns, files)))
    if min(index, to) < asked:
        name = words.picture_name(min(index, to) + 1)
        raise RequestError(words.KEEPS_ITS_NUMBER, name=name)
    files.insert(to, files.pop(index))
    return files, to


def refresh_movers(shown: Shown, selected: int | None) -> tuple[Any, ...]:
    """Return the selection, if its image still exists, and the buttons for it."""
    count = len(shown or [])
    is_valid = selected is not None and selected < count
    return (gr.skip() if is_valid else None), *set_movers(selected if is_valid else None, count)


def follow_pictures(task: Task, chat: Chat, shown: Shown) -> tuple[Any, ...]:
    """Return gallery, chat and chatbot after images were added or removed.

    Images that were asked about come first; removed ones leave the conversation.
    """
    files = files_of(shown)
    if (shown or []) != to_gallery(files):  # about to be checked and numbered
        return tuple(gr.skip() for _ in range(3))
    turns = keep_shown(chat.turns, files)
    arranged = [*pictures_of(turns), *pick_new(turns, files)]
    gallery = to_gallery(arranged) if arranged != files else gr.skip()
    if turns == chat.turns or chat.ticket:  # while an answer is written the chat stays as it is
        return gallery, gr.skip(), gr.skip()
    inform(words.PICTURE_REMOVED)
    return gallery, Chat(turns), to_messages(turns, task.is_verbatim)
