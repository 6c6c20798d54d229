"""Conversations that API clients send are parsed, or refused with the position of the problem."""

import pytest

from phi3v.request import RequestError, Turn
from phi3v.ui.api.turns import read_turns

PICTURES = ["a.png", "b.png"]


def test_turns_name_their_pictures_by_number() -> None:
    sent = [
        {"role": "system", "text": "Be brief."},
        {"role": "user", "text": "What?", "images": [1, 2]},
    ]
    assert read_turns(sent, PICTURES) == (
        Turn("system", "Be brief."),
        Turn("user", "What?", ("a.png", "b.png")),
    )


def test_json_text_is_read_too() -> None:
    assert read_turns('[{"role": "user", "text": "Hi"}]', []) == (Turn("user", "Hi"),)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ([], "There are no turns"),
        (None, "cannot be read at turns"),
        ("no json", "cannot be read at turns"),
        ([{"role": "robot", "text": "Hi"}], "cannot be read at 1, role"),
        ([{"role": "user", "text": "Hi", "picture": 1}], "cannot be read at 1, picture"),
        ([{"role": "user", "images": ["/etc/passwd"]}], "cannot be read at 1, images, 1"),
        ([{"role": "user", "images": [2, 1]}], r"name the pictures \[2, 1\], and 2 came"),
        ([{"role": "user", "images": [1, 2, 3]}], r"name the pictures \[1, 2, 3\], and 2 came"),
    ],
)
def test_an_invalid_conversation_is_refused_with_its_position(sent: object, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_turns(sent, PICTURES)
