"""The order of a conversation's pictures: what is shown second is "image 2", in every question.

Pictures that were asked about keep their numbers, because questions and answers name them; those
added since can be moved. A removed one leaves the conversation, and the page says so.
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
from phi3v.ui.wiring import AT_ONCE, QUIET, Shown, files_of


@dataclass(frozen=True)
class Order:
    """The buttons that move a picture, and which one: its place from 0, None before a click."""

    selected: gr.State
    earlier: gr.Button
    later: gr.Button


def lay_out_order() -> Order:
    """Place the buttons below the pictures."""
    selected = gr.State(None)
    with gr.Row():
        earlier, later = set_movers(None, 0)
    return Order(selected, earlier, later)


def set_movers(index: int | None, count: int) -> tuple[gr.Button, gr.Button]:
    """The two buttons for a selected picture; without one they say what to do."""
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

    pictures.select(select, pictures, movers, **AT_ONCE)
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
    """Once an event that changes the pictures is over, let chat and buttons follow."""
    return event.then(
        partial(follow_pictures, task),
        [chat, pictures, order.selected],
        [pictures, chat, chatbot, order.selected, order.earlier, order.later],
        **QUIET,
    )


def move_selected(step: int, chat: Chat, shown: Shown, selected: int | None) -> tuple[Any, ...]:
    """Move the selected picture by one place; say why if that cannot be."""
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
    """The pictures with one moved by a step, and its new place. Raises RequestError.

    Neither it nor the one it changes places with may have been asked about.
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


def follow_pictures(task: Task, chat: Chat, shown: Shown, selected: int | None) -> tuple[Any, ...]:
    """When pictures come or go: those asked about first, and none in the chat that is gone."""
    files = files_of(shown)
    if (shown or []) != to_gallery(files):  # about to be checked and numbered
        return tuple(gr.skip() for _ in range(6))
    if selected is not None and selected >= len(files):
        selected = None
    movers = (selected, *set_movers(selected, len(files)))
    turns = keep_shown(chat.turns, files)
    arranged = [*pictures_of(turns), *pick_new(turns, files)]
    gallery = to_gallery(arranged) if arranged != files else gr.skip()
    if turns == chat.turns or chat.ticket:  # while an answer is written the chat stays as it is
        return gallery, gr.skip(), gr.skip(), *movers
    inform(words.PICTURE_REMOVED)
    return gallery, Chat(turns), to_messages(turns, task.is_verbatim), *movers
