"""Edits an earlier question of the chat: the conversation continues from there.

Values only: knows nothing of events and components.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from phi3v.request import RequestError
from phi3v.tasks import Task
from phi3v.ui import words
from phi3v.ui.chat.conversation import Chat, ask, keep_shown, name_pictures, pictures_of
from phi3v.ui.markdown import rearm_question


def ask_edited(task: Task, chat: Chat, shown: Sequence[str], index: int, content: str) -> Chat:
    """Return the chat with the question at `index` edited and asked again, later turns dropped.

    The question keeps its images. Images of later turns stay on the page for the next question; the
    last question also gets images added since, as on retry. Raises RequestError during an answer,
    for a turn that is no question, and as `ask` does.
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
    """Return the question in an edited message of the chatbot: the inverse of to_messages."""
    before = len(pictures_of(chat.turns[:index]))
    names = name_pictures(before, len(chat.turns[index].images))
    if names and content.startswith(names):
        content = content.removeprefix(names)
    return unescape_html(rearm_question(content)).strip()


def unescape_html(text: str) -> str:
    """Return text as it was before escape_html."""
    text = re.sub(r"&lt;(?=[a-zA-Z/!?])", "<", text)
    return re.sub(r"&amp;(?=#?\w+;)", "&", text)
