"""An edited question is asked again, and the conversation continues from there."""

import gradio as gr
import pytest

from phi3v.request import RequestError, Turn
from phi3v.tasks import DESCRIBE
from phi3v.ui.chat.conversation import Chat, ask, escape_html, to_messages
from phi3v.ui.chat.editing import ask_edited, unescape_html
from phi3v.ui.chat.events import make_edit

FIRST, SECOND = Turn("user", "What?", ("a.png",)), Turn("user", "And this?", ("b.png",))
TALK = Chat((FIRST, Turn("assistant", "A."), SECOND, Turn("assistant", "B.")))
BOTH = ["a.png", "b.png"]


def test_an_edited_question_replaces_the_old_one_and_later_turns_are_dropped() -> None:
    chat = ask_edited(DESCRIBE, TALK, BOTH, 0, "Image 1\nWhich colour?")
    assert chat.turns == (Turn("user", "Which colour?", ("a.png",)),)
    assert chat.ticket


def test_pictures_of_later_turns_are_kept_for_the_next_question() -> None:
    edited = ask_edited(DESCRIBE, TALK, BOTH, 0, "Which colour?")
    answered = Chat((*edited.turns, Turn("assistant", "Red.")))
    assert ask(DESCRIBE, answered, BOTH, "And now?").turns[-1].images == ("b.png",)


def test_the_last_question_takes_pictures_added_since() -> None:
    chat = ask_edited(DESCRIBE, TALK, [*BOTH, "c.png"], 2, "Image 2\nAnd these?")
    assert chat.turns[-1] == Turn("user", "And these?", ("b.png", "c.png"))
    assert chat.turns[:2] == TALK.turns[:2]


def test_an_unchanged_question_asks_for_another_answer() -> None:
    message = to_messages(TALK.turns, is_verbatim=False)[0]["content"]
    assert ask_edited(DESCRIBE, TALK, BOTH, 0, message).turns == (FIRST,)


def test_a_removed_picture_stays_removed() -> None:
    two = Turn("user", "What?", ("a.png", "b.png"))
    chat = Chat((two, Turn("assistant", "A."), Turn("user", "So?"), Turn("assistant", "B.")))
    assert ask_edited(DESCRIBE, chat, ["b.png"], 0, "Again?").turns[0].images == ("b.png",)


@pytest.mark.parametrize("text", ["<b> &amp; 1 < 2 & 3", "&lt;b>", "&amp;lt;i>", "a<b", "<|end|>"])
def test_unescaping_restores_what_was_typed(text: str) -> None:
    assert unescape_html(escape_html(text)) == text


def test_while_an_answer_is_written_nothing_is_edited() -> None:
    with pytest.raises(RequestError, match="stop it first"):
        ask_edited(DESCRIBE, Chat(TALK.turns, "ticket"), BOTH, 0, "Which?")


@pytest.mark.parametrize("index", [-1, 1, 9])
def test_only_questions_are_edited(index: int) -> None:
    with pytest.raises(RequestError, match="cannot be edited"):
        ask_edited(DESCRIBE, TALK, BOTH, index, "Which?")


def test_the_page_asks_an_edited_question_and_keeps_what_is_typed() -> None:
    event = gr.EditData(None, {"index": 0, "value": "Image 1\nWhich?", "previous_value": ""})
    shown = [("a.png", "Image 1"), ("b.png", "Image 2")]
    chat, messages, question, *_ = make_edit(DESCRIBE)(event, TALK, shown, "half a question")
    assert chat.turns[-1].text == "Which?"
    assert messages == [{"role": "user", "content": "Image 1\nWhich?"}]
    assert question == gr.skip()  # the text typed into the question's box stays


def test_a_refused_edit_is_reported() -> None:
    event = gr.EditData(None, {"index": 0, "value": "Which?", "previous_value": ""})
    with pytest.raises(gr.Error, match="needs at least one picture"):
        make_edit(DESCRIBE)(event, TALK, [("b.png", "Image 1")], "")
