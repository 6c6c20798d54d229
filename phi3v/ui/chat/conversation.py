"""What one tab of one user's page remembers, and how it looks in the chat.

Values and functions only: a page keeps its Chat in a gr.State of its own session. Pictures are
paths of files in the page's cache. Knows nothing of events and components.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from phi3v.request import FinishReason, RequestError, Sampling, Turn
from phi3v.results.cleaning import clean_answer
from phi3v.tasks import Task, build_request
from phi3v.ui import words
from phi3v.ui.i18n.languages import translate


@dataclass(frozen=True)
class Chat:
    """The turns so far, and the ticket of the answer that is being written ("" if none is).

    With is_continued the last turn is an answer that is being gone on with; can_continue says that the
    last answer ended before its end. Without ends_loops it may repeat itself: it was ended for that
    once, and its reader went on.
    """

    turns: tuple[Turn, ...] = ()
    ticket: str = ""
    is_continued: bool = False
    can_continue: bool = False
    ends_loops: bool = True


@dataclass(frozen=True)
class Answer:
    """What has been written so far under a ticket.

    It is kept apart from the Chat so that a stopped answer's last words, arriving late, can never
    end up in a conversation that has been cleared or has gone on.
    """

    ticket: str = ""
    text: str = ""
    figures: str = ""
    is_complete: bool = False
    token_ids: tuple[int, ...] = ()
    finish_reason: FinishReason | None = None


def pictures_of(turns: Iterable[Turn]) -> tuple[str, ...]:
    """All pictures of a conversation in the order of their numbers."""
    return tuple(str(image) for turn in turns for image in turn.images)


def keep_shown(turns: Sequence[Turn], shown: Sequence[str]) -> tuple[Turn, ...]:
    """Take out of a conversation what its user has removed from the pictures shown."""
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
    """The shown pictures that no turn has asked about yet; one shown twice counts twice."""
    asked = Counter(pictures_of(turns))
    new = []
    for picture in shown:
        if asked[picture]:
            asked[picture] -= 1
        else:
            new.append(picture)
    return tuple(new)


def ask(task: Task, chat: Chat, shown: Sequence[str], question: str) -> Chat:
    """Put the next question, with the pictures added since the last. Raises RequestError."""
    if chat.ticket:
        raise RequestError(words.BUSY)
    turns = keep_shown(chat.turns, shown)
    request = build_request(task, turns, pick_new(turns, shown), question, Sampling())
    return Chat(request.turns, new_ticket())


def ask_again(task: Task, chat: Chat, shown: Sequence[str]) -> Chat:
    """Drop the last answer and ask its question about the pictures shown. Raises RequestError."""
    if chat.ticket:
        raise RequestError(words.BUSY)
    if not chat.turns:
        raise RequestError(words.NOTHING_TO_RETRY)
    *earlier, question, _ = chat.turns
    return ask(task, Chat(tuple(earlier)), shown, question.text)


def continue_answer(chat: Chat) -> Chat:
    """Let the last answer go on where it ended. Raises RequestError."""
    if chat.ticket:
        raise RequestError(words.BUSY)
    if not chat.can_continue:
        raise RequestError(words.NOTHING_TO_CONTINUE)
    return replace(chat, ticket=new_ticket(), is_continued=True, can_continue=False)


def settle(chat: Chat, answer: Answer) -> Chat:
    """Put an answer, whole or stopped, to its question; without a word of it, drop the question.

    What goes on is put behind the answer that is there.
    """
    is_its = answer.ticket == chat.ticket
    text = answer.text if is_its else ""
    ended = is_its and answer.is_complete and answer.finish_reason not in ("length", "loop")
    ends_loops = chat.ends_loops and not (is_its and answer.finish_reason == "loop")
    if chat.is_continued:
        last = chat.turns[-1]
        ids = (*last.token_ids, *answer.token_ids) if last.token_ids and text else ()
        whole = Turn("assistant", last.text + text, token_ids=ids) if text else last
        turns = (*chat.turns[:-1], whole)
        return Chat(turns, can_continue=not ended, ends_loops=ends_loops)
    if text or (is_its and answer.is_complete):
        turn = Turn("assistant", text, token_ids=answer.token_ids)
        can_continue = bool(text) and not ended
        return Chat((*chat.turns, turn), can_continue=can_continue, ends_loops=ends_loops)
    return Chat(chat.turns[:-1])


def new_ticket() -> str:
    """A mark that no other answer has."""
    return uuid4().hex


def to_messages(
    turns: Sequence[Turn], is_verbatim: bool, is_whole: bool = True
) -> list[dict[str, str]]:
    """Turn a conversation into a chatbot's messages, pictures named by their numbers.

    What a user typed is shown as typed, and so is a verbatim answer, without the comment around it.
    While the last answer is being written (is_whole False) what may yet be a comment is held back.
    """
    messages = []
    number = 0
    for turn in turns:
        content = turn.text
        if turn.role == "assistant" and is_verbatim:
            content = clean_answer(content, is_whole or turn is not turns[-1])
        if turn.role == "user" or is_verbatim:
            content = disarm_html(content)
        if turn.images:
            content = f"{name_pictures(number, len(turn.images))}\n{content}"
            number += len(turn.images)
        messages.append({"role": turn.role, "content": content})
    return messages


def name_pictures(before: int, count: int) -> str:
    """The names of a question's pictures, before of which others came; "" without any."""
    return ", ".join(translate(words.picture_name(before + i)) for i in range(1, count + 1))


def disarm_html(text: str) -> str:
    """Let a chatbot show tags and entities as the letters they are.

    Only those: the chatbot's button copies what stands here, so a lone `<` or `&` stays itself.
    """
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    return re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", text)


def to_gallery(pictures: Sequence[object]) -> list[tuple[object, str]]:
    """Number pictures for a gallery."""
    return [(picture, translate(words.picture_name(i))) for i, picture in enumerate(pictures, 1)]
