"""A full disk is told in words, and other requests go on."""

import errno
from collections.abc import Iterator

import httpx
import pytest
from gradio_client.exceptions import AppError
from support.fake_engine import FakeEngine
from support.serving import connect, serve


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(FakeEngine()) as address:
        yield address


def refuse_writing(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def send(url: str) -> httpx.Response:
    sent = {"files": ("a.png", b"x" * 5_000_000, "image/png")}
    return httpx.post(f"{url}gradio_api/upload", files=sent)


def test_an_upload_without_room_is_told_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradio.routes.upload_fn", refuse_writing)
    refused = send(url)
    assert refused.status_code == 507
    assert refused.text.startswith("There is no room left on the disk")
    monkeypatch.undo()
    assert send(url).status_code == 200


def test_an_event_without_room_is_told_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect(url)
    monkeypatch.setattr("phi3v.ui.api.endpoints.read_turns", refuse_writing)
    with pytest.raises(AppError, match="no room left on the disk"):
        client.predict([{"role": "user", "text": "hello"}], api_name="/chat")
    monkeypatch.undo()
    assert client.predict([{"role": "user", "text": "say hello"}], api_name="/chat") == "hello"
