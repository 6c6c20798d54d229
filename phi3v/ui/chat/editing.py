"""An earlier question changed in the chat: the conversation goes on from there."""

import re
from collections.abc import Sequence
from dataclasses import replace

from phi3v.request import RequestError
from phi3v.tasks import Task
from phi3v.ui import words
from phi3v.ui.chat.conversation import Chat, ask, keep_shown, name_pictures, pictures_of


def ask_edited(task: Task, chat: Chat, shown: Sequence[str], index: int, content: str) -> Chat:
    """Ask a question of the chat anew as it was edited; what followed it is dropped.

    It is asked about the pictures it had. Those that came later stay on the page, for the next
    question; the last question takes those added since too, as when it is tried again. Raises
    RequestError.
    """
    if chat.ticket:
        raise RequestError(words.BUSY)
    if not 0 <= index < len(chat.turns) or chat.turns[index].role != "user":
        raise RequestError(words.NOT_EDITABLE)
    question = read_question(chat, index, content)
    turns = keep_shown(chat.turns, shown)
    is_last = not any(turn.role == "user" for turn in turns[index + 1 :])
    had = pictures_of(turns[: index + 1])
    return ask(task, replace(chat, turns=turns[:index]), shown if is_last else had, question)


def read_question(chat: Chat, index: int, content: str) -> str:
    """The question in a message that was edited as the chatbot shows it: see to_messages."""
    before = len(pictures_of(chat.turns[:index]))
    names = name_pictures(before, len(chat.turns[index].images))
    if names and content.startswith(names):
        content = content.removeprefix(names)
    return arm_html(content).strip()


def arm_html(text: str) -> str:
    """Undo disarm_html."""
    text = re.sub(r"&lt;(?=[a-zA-Z/!?])", "<", text)
    return re.sub(r"&amp;(?=#?\w+;)", "&", text)
