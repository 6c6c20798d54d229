"""A tab's conversation state, and its form as messages of the chatbot."""

import pytest

from phi3v.request import RequestError, Turn
from phi3v.tasks import DESCRIBE
from phi3v.ui.chat.conversation import (
    Answer,
    Chat,
    ask,
    ask_again,
    continue_answer,
    keep_shown,
    pick_new,
    settle,
    to_messages,
)

ASKED = Turn("user", "What?", ("a.png",))
ANSWERED = Turn("assistant", "That.")


def test_the_first_question_takes_all_pictures() -> None:
    chat = ask(DESCRIBE, Chat(), ["a.png", "b.png"], "What?")
    assert chat.turns == (Turn("user", "What?", ("a.png", "b.png")),)
    assert chat.ticket


def test_a_follow_up_takes_only_the_pictures_added_since() -> None:
    chat = ask(DESCRIBE, Chat((ASKED, ANSWERED)), ["a.png", "b.png"], "And this?")
    assert chat.turns == (ASKED, ANSWERED, Turn("user", "And this?", ("b.png",)))


def test_a_picture_added_twice_is_new_the_second_time() -> None:
    assert pick_new((ASKED,), ["a.png", "a.png"]) == ("a.png",)


def test_a_removed_picture_leaves_the_conversation() -> None:
    turns = (Turn("user", "What?", ("a.png", "b.png")), ANSWERED)
    assert keep_shown(turns, ["b.png"])[0].images == ("b.png",)


def test_while_an_answer_is_written_no_other_question_is_taken() -> None:
    with pytest.raises(RequestError, match="stop it first"):
        ask(DESCRIBE, Chat((ASKED,), "ticket"), ["a.png"], "What?")


def test_retry_asks_the_last_question_again() -> None:
    assert ask_again(DESCRIBE, Chat((ASKED, ANSWERED)), ["a.png"]).turns == (ASKED,)


def test_retry_leaves_out_what_has_been_removed() -> None:
    first = Turn("user", "What?", ("a.png", "b.png"))
    chat = ask_again(DESCRIBE, Chat((first, ANSWERED)), ["b.png"])
    assert chat.turns == (Turn("user", "What?", ("b.png",)),)


def test_retry_without_an_answer_is_refused() -> None:
    with pytest.raises(RequestError, match="ask something first"):
        ask_again(DESCRIBE, Chat(), [])


def test_a_complete_answer_is_added_to_its_question() -> None:
    chat = settle(Chat((ASKED,), "one"), Answer("one", "That.", is_complete=True))
    assert chat == Chat((ASKED, ANSWERED))


def test_a_stopped_answer_keeps_its_partial_text() -> None:
    assert settle(Chat((ASKED,), "one"), Answer("one", "Th")).turns[-1].text == "Th"


def test_a_question_without_any_answer_text_is_dropped() -> None:
    assert settle(Chat((ASKED, ANSWERED, ASKED), "one"), Answer("one")).turns == (ASKED, ANSWERED)


def test_a_late_answer_to_another_question_is_ignored() -> None:
    assert settle(Chat((ASKED,), "two"), Answer("one", "Late.", is_complete=True)) == Chat()


def test_a_cut_answer_is_continued_from_its_own_tokens() -> None:
    cut = Answer("one", "1, 2,", "", True, (5, 6), "length")
    chat = settle(Chat((ASKED,), "one"), cut)
    assert chat.can_continue
    more = continue_answer(chat)
    assert (more.is_continued, more.turns) == (True, chat.turns)
    whole = settle(more, Answer(more.ticket, " 3.", "", True, (7,), "end"))
    assert whole.turns == (ASKED, Turn("assistant", "1, 2, 3."))
    assert whole.turns[-1].token_ids == (5, 6, 7)
    assert not whole.can_continue


def test_a_stopped_continuation_keeps_the_earlier_text() -> None:
    more = continue_answer(settle(Chat((ASKED,), "one"), Answer("one", "1, 2,")))
    assert settle(more, Answer()).turns[-1].text == "1, 2,"
    stopped = settle(more, Answer(more.ticket, " 3"))
    assert stopped.turns[-1].text == "1, 2, 3"
    assert stopped.turns[-1].token_ids == ()
    assert stopped.can_continue


def test_an_answer_ended_as_repetition_may_repeat_when_continued() -> None:
    looping = Answer("one", "1, 1,", "", True, (5, 5), "loop")
    more = continue_answer(settle(Chat((ASKED,), "one"), looping))
    assert not more.ends_loops
    cut = settle(more, Answer(more.ticket, " 1,", "", True, (5,), "length"))
    assert not continue_answer(cut).ends_loops
    assert ask(DESCRIBE, cut, ["a.png"], "And?").ends_loops


def test_an_answer_that_ended_by_itself_cannot_be_continued() -> None:
    chat = settle(Chat((ASKED,), "one"), Answer("one", "That.", "", True, (5,), "end"))
    with pytest.raises(RequestError, match="ended by itself"):
        continue_answer(chat)


def test_pictures_are_numbered_over_the_whole_conversation() -> None:
    later = Turn("user", "And these?", ("b.png", "c.png"))
    messages = to_messages((ASKED, ANSWERED, later), is_verbatim=False)
    assert messages[0]["content"] == "Image 1\nWhat?"
    assert messages[2]["content"] == "Image 2, Image 3\nAnd these?"


def test_html_in_a_question_is_shown_as_typed() -> None:
    messages = to_messages((Turn("user", "<b> &amp; <|end|> 1 < 2 & 3"),), is_verbatim=False)
    assert messages[0]["content"] == "&lt;b> &amp;amp; <|end|> 1 < 2 & 3"


def test_html_in_a_verbatim_answer_is_escaped() -> None:
    turns = (Turn("assistant", "<b>AT&T</b>"),)
    assert to_messages(turns, is_verbatim=True)[0]["content"] == "&lt;b>AT&T&lt;/b>"
    assert to_messages(turns, is_verbatim=False)[0]["content"] == "<b>AT&T</b>"


def test_a_verbatim_answer_is_shown_without_a_comment() -> None:
    turns = [Turn("assistant", "The text in the image is: STOP")]
    assert to_messages(turns, is_verbatim=True)[0]["content"] == "STOP"
    assert to_messages(turns, is_verbatim=False)[0]["content"] == turns[0].text
    begun = [Turn("assistant", "The text in the im")]
    assert to_messages(begun, is_verbatim=True, is_whole=False)[0]["content"] == ""
