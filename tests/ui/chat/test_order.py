"""Image numbers follow the gallery's order after images are moved, removed or added."""

import gradio as gr
import pytest

from phi3v.request import RequestError, Turn
from phi3v.tasks import DESCRIBE
from phi3v.ui import words
from phi3v.ui.chat.conversation import Chat, ask, pictures_of, to_gallery
from phi3v.ui.chat.order import follow_pictures, move_picture, move_selected, refresh_movers

ASKED = Turn("user", "What?", ("a.png",))
ANSWERED = Turn("assistant", "That.")
TALK = Chat((ASKED, ANSWERED))


@pytest.fixture(autouse=True)
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Messages that the page would have shown."""
    shown: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda text, **_: shown.append(text))
    monkeypatch.setattr(gr, "Info", lambda text, **_: shown.append(text))
    return shown


def test_a_moved_picture_is_numbered_by_its_new_position() -> None:
    files, position = move_picture((), ["a.png", "b.png", "c.png"], 2, -1)
    assert (files, position) == (["a.png", "c.png", "b.png"], 1)
    assert ask(DESCRIBE, Chat(), files, "Image 2?").turns[0].images == ("a.png", "c.png", "b.png")


def test_at_the_edge_nothing_moves() -> None:
    assert move_picture((), ["a.png", "b.png"], 1, 1) == (["a.png", "b.png"], 1)


def test_a_picture_that_was_asked_about_keeps_its_number() -> None:
    for index, step in ((0, 1), (1, -1)):
        with pytest.raises(RequestError, match="Image 1 has been asked about"):
            move_picture(TALK.turns, ["a.png", "b.png"], index, step)


def test_pictures_added_since_can_be_moved() -> None:
    files, _ = move_picture(TALK.turns, ["a.png", "b.png", "c.png"], 1, 1)
    assert files == ["a.png", "c.png", "b.png"]
    turns = ask(DESCRIBE, TALK, files, "Now?").turns
    assert pictures_of(turns) == tuple(files)


def test_moving_without_a_selected_picture_is_refused(notes: list[str]) -> None:
    gallery, selected, *_ = move_selected(1, Chat(), to_gallery(["a.png"]), None)
    assert (gallery, selected) == (gr.skip(), None)
    assert notes == [words.NONE_SELECTED]


def test_a_moved_picture_stays_selected_under_its_new_number() -> None:
    shown = to_gallery(["a.png", "b.png", "c.png"])
    gallery, selected, earlier, later = move_selected(1, Chat(), shown, 1)
    assert gallery.selected_index == selected == 2
    assert earlier.value == "◀ Move Image 3"
    assert (earlier.interactive, later.interactive) == (True, False)


def test_a_removed_picture_leaves_the_chat_and_the_numbers_follow(notes: list[str]) -> None:
    chat = Chat((Turn("user", "What?", ("a.png", "b.png")), ANSWERED))
    _, after, messages, *_ = follow_pictures(DESCRIBE, chat, to_gallery(["b.png"]))
    assert after.turns[0].images == ("b.png",)
    assert messages[0]["content"] == "Image 1\nWhat?"
    assert notes == [words.PICTURE_REMOVED]


def test_a_picture_removed_and_added_again_is_a_new_one() -> None:
    chat = Chat((Turn("user", "What?", ("a.png", "b.png")), ANSWERED))
    _, after, *_ = follow_pictures(DESCRIBE, chat, to_gallery(["b.png"]))
    turns = ask(DESCRIBE, after, ["b.png", "a.png"], "And now?").turns
    assert [turn.images for turn in turns] == [("b.png",), (), ("a.png",)]


def test_pictures_asked_about_come_first() -> None:
    gallery, *_ = follow_pictures(DESCRIBE, TALK, to_gallery(["b.png", "a.png"]))
    assert gallery == to_gallery(["a.png", "b.png"])


def test_while_an_answer_is_written_the_chat_stays_as_it_is() -> None:
    chat = Chat((ASKED,), "ticket")
    _, after, messages, *_ = follow_pictures(DESCRIBE, chat, None)
    assert after == messages == gr.skip()


def test_the_buttons_show_with_the_second_picture() -> None:
    _, earlier, later = refresh_movers(to_gallery(["a.png"]), None)
    assert (earlier.visible, later.visible) == (False, False)
    _, earlier, later = refresh_movers(to_gallery(["a.png", "b.png"]), 1)
    assert (earlier.visible, earlier.interactive, later.interactive) == (True, True, False)
