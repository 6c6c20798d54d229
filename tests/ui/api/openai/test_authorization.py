"""The login of /v1: as a key, or basic."""

import base64

import pytest

from phi3v.ui.api.openai.authorization import is_authorized


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    ["Bearer me:secret", "bearer  me:secret ", f"Basic {encode('me:secret')}"],
)
def test_the_right_login_is_let_in(header: str) -> None:
    assert is_authorized(header, "me:secret")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "me:secret",
        "Bearer",
        "Bearer me",
        "Bearer me:secret2",
        "Bearer ME:secret",
        "Digest me:secret",
        f"Bearer {encode('me:secret')}",
        f"Basic {encode('me:other')}",
        "Basic me:secret",
        "Basic ===",
    ],
)
def test_any_other_login_is_not(header: str | None) -> None:
    assert not is_authorized(header, "me:secret")


def test_a_password_may_have_any_characters() -> None:
    auth = "me:p:ä "
    assert is_authorized(f"Basic {encode(auth)}", auth)
    assert is_authorized(f"Bearer {'me:pä'.encode().decode('latin-1')}", "me:pä")


def test_without_a_login_any_key_is_accepted() -> None:
    assert is_authorized("Bearer sk-1234", None)
    assert is_authorized(None, None)
