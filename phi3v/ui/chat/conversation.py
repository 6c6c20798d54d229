"""State of one user's conversation in one tab, and its form as messages of a chatbot.

Values and functions only: the page holds the Chat in a gr.State of each session. Images are paths
of files in the page's cache. Knows nothing of events and components.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import uuid4

from phi3v.request import FinishReason, RequestError, Sampling, Turn
from phi3v.results.cleaning import clean_answer
from phi3v.tasks import Task, build_request
from phi3v.ui import words
from phi3v.ui.i18n.languages import translate
from phi3v.ui.markdown import disarm, disarm_question

FRAME_FILE: Final = re.compile(r"frame-(\d+\.\d)s$")


@dataclass(frozen=True)
class Chat:
    """The turns so far, and the ticket (a unique id) of the running answer, "" if there is none.

    is_continued: the last turn is an answer that is being continued. can_continue: the last answer
    was cut, stopped or ended as repetition. ends_loops is False once the user has continued an
    answer that was ended as repetition: the continuation may repeat itself. figures is the last
    answer's status line.
    """

    turns: tuple[Turn, ...] = ()
    ticket: str = ""
    is_continued: bool = False
    can_continue: bool = False
    ends_loops: bool = True
    figures: str = ""


@dataclass(frozen=True)
class Answer:
    """The running answer so far, with its ticket.

    Separate from the Chat, so that the last words of a stopped answer, if they arrive late, cannot
    get into a conversation that has been cleared or continued since.
    """

    ticket: str = ""
    text: str = ""
    figures: str = ""
    is_complete: bool = False
    token_ids: tuple[int, ...] = ()
    finish_reason: FinishReason | None = None


def pictures_of(turns: Iterable[Turn]) -> tuple[str, ...]:
    """Return all images of a conversation in the order of their numbers."""
    return tuple(str(image) for turn in turns for image in turn.images)


def keep_shown(turns: Sequence[Turn], shown: Sequence[str]) -> tuple[Turn, ...]:
    """Return the turns without images that the user has removed from the gallery."""
    left = Counter(shown)
    kept = []
    for turn in turns:
        images = []
        for image in turn.images:
            if left[str(image)]:
                left[str(image)] -= 1
                images.append(image)
        kept.append(replace(turn, images=tuple(images)))
    return tuple(kept)


def pick_new(turns: Sequence[Turn], shown: Sequence[str]) -> tuple[str, ...]:
    """Return the images in the gallery that belong to no turn yet; duplicates count separately."""
    asked = Counter(pictures_of(turns))
    new = []
    for picture in shown:
        if asked[picture]:
            asked[picture] -= 1
        else:
            new.append(picture)
    return tuple(new)


def ask(task: Task, chat: Chat, shown: Sequence[str], question: str) -> Chat:
    """Return the chat with the next question, about the images added since the last one.

    Raises RequestError during an answer, and for a question that the task does not accept.
    """
    if chat.ticket:
        raise RequestError(words.BUSY)
    turns = keep_shown(chat.turns, shown)
    request = build_request(task, turns, pick_new(turns, shown), question, Sampling())
    return Chat(request.turns, new_ticket())


def ask_again(task: Task, chat: Chat, shown: Sequence[str]) -> Chat:
    """Return the chat with the last answer dropped and its question asked again.

    The question is about the images in the gallery. Raises RequestError during an answer, and if
    there is none yet.
    """
    if chat.ticket:
        raise RequestError(words.BUSY)
    if not chat.turns:
        raise RequestError(words.NOTHING_TO_RETRY)
    *earlier, question, _ = chat.turns
    return ask(task, Chat(tuple(earlier)), shown, question.text)


def continue_answer(chat: Chat) -> Chat:
    """Return the chat with its last answer to be continued where it ended.

    Raises RequestError during an answer, and if the last one ended by itself.
    """
    if chat.ticket:
        raise RequestError(words.BUSY)
    if not chat.can_continue:
        raise RequestError(words.NOTHING_TO_CONTINUE)
    return replace(chat, ticket=new_ticket(), is_continued=True, can_continue=False)


def settle(chat: Chat, answer: Answer) -> Chat:
    """Return the chat with a complete or stopped answer added; no answer is running after it.

    A continuation is appended to the last answer. A question whose answer was stopped before its
    first word, or whose ticket is not the answer's, is dropped.
    """
    is_current = answer.ticket == chat.ticket
    text = answer.text if is_current else ""
    ended = is_current and answer.is_complete and answer.finish_reason in ("end", None)
    ends_loops = chat.ends_loops and not (is_current and answer.finish_reason == "loop")
    if chat.is_continued:
        last = chat.turns[-1]
        ids = (*last.token_ids, *answer.token_ids) if last.token_ids and text else ()
        whole = Turn("assistant", last.text + text, token_ids=ids) if text else last
        turns = (*chat.turns[:-1], whole)
        return Chat(turns, can_continue=not ended, ends_loops=ends_loops)
    if text or (is_current and answer.is_complete):
        turn = Turn("assistant", text, token_ids=answer.token_ids)
        can_continue = bool(text) and not ended
        return Chat((*chat.turns, turn), can_continue=can_continue, ends_loops=ends_loops)
    return Chat(chat.turns[:-1])


def new_ticket() -> str:
    """Return a unique id for an answer."""
    return uuid4().hex


def to_messages(
    turns: Sequence[Turn], is_verbatim: bool, is_whole: bool = True
) -> list[dict[str, str]]:
    """Return a conversation as a chatbot's messages, with the names of its images.

    HTML is escaped in questions and in verbatim answers, from which comments are stripped too; what
    would load something in other answers is disarmed, see phi3v.ui.markdown.
    While the last answer is running (is_whole False), text that may yet turn out to be a comment is
    held back.
    """
    messages = []
    number = 0
    for turn in turns:
        content = turn.text
        if turn.role == "assistant" and is_verbatim:
            content = clean_answer(content, is_whole or turn is not turns[-1])
        if turn.role == "user" or is_verbatim:
            content = escape_html(content)
            content = content if is_verbatim else disarm_question(content)
        else:
            content = disarm(content)
        if turn.images:
            content = f"{name_pictures(number, len(turn.images))}\n{content}"
            number += len(turn.images)
        messages.append({"role": turn.role, "content": content})
    return messages


def name_pictures(before: int, count: int) -> str:
    """Return the names of `count` images that follow `before` others; "" for none."""
    return ", ".join(translate(words.picture_name(before + i)) for i in range(1, count + 1))


def escape_html(text: str) -> str:
    """Escape tags and entities, so that a chatbot shows them as text.

    A lone `<` or `&` is not escaped, because the chatbot's copy button copies this text verbatim.
    """
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    return re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", text)


def to_gallery(pictures: Sequence[object]) -> list[tuple[object, str]]:
    """Return images as a gallery's value, captioned with their numbers, frames with their times."""
    return [(picture, translate(caption(i, picture))) for i, picture in enumerate(pictures, 1)]


def caption(number: int, picture: object) -> str:
    """Return the caption of an image; a frame's time is in its file's name."""
    found = FRAME_FILE.match(Path(picture).stem) if isinstance(picture, str) else None
    if found is None:
        return words.picture_name(number)
    return words.picture_at(number, float(found[1]))


def name_frame_file(seconds: float | None) -> str:
    """Return the name, without suffix, of the file of a video's frame, or of a document's page."""
    return "page" if seconds is None else f"frame-{seconds:.1f}s"
