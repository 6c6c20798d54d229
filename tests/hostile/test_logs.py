"""Logs hold nothing that users have sent: a secret word in every field appears in none."""

import logging
from contextlib import suppress

import httpx
import pytest
from gradio_client.exceptions import AppError
from support.fake_engine import FakeEngine
from support.serving import connect, serve

SECRET = "xyzzysecret"


def test_a_secret_word_in_every_field_is_not_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    turns = [{"role": "user", "text": f"refuse {SECRET}"}]
    calls: list[tuple[str, dict[str, object]]] = [
        ("/chat", {"turns": turns}),
        ("/chat", {"turns": [{"role": SECRET, "text": SECRET}]}),
        ("/chat", {"turns": SECRET}),
        ("/describe", {"images": None, "prompt": SECRET}),
        ("/ocr", {"images": None, "prompt": SECRET, "output_format": SECRET}),
    ]
    with caplog.at_level(logging.DEBUG, logger="phi3v"), serve(FakeEngine()) as url:
        client = connect(url)
        for name, values in calls:
            with suppress(AppError, ValueError):
                client.predict(**values, api_name=name)
        file = {"path": f"/etc/{SECRET}", "meta": {"_type": "gradio.FileData"}}
        for body in ({"data": [[file], "", 5]}, {"data": [SECRET, SECRET, SECRET]}):
            sent = httpx.post(f"{url}gradio_api/call/describe", json=body, timeout=60)
            with suppress(KeyError):
                event = sent.json()["event_id"]
                httpx.get(f"{url}gradio_api/call/describe/{event}", timeout=60)
        httpx.get(f"{url}gradio_api/file=/etc/{SECRET}")
        httpx.get(f"{url}config", headers={"authorization": f"Bearer {SECRET}"})
        httpx.get(url, headers={"host": f"{SECRET}.example"})
    printed = capfd.readouterr()
    written = [record.getMessage() for record in caplog.records if record.name[:5] == "phi3v"]
    assert SECRET not in "".join(written) + printed.out + printed.err
