"""The start and end of the app: what it warns of, how it fails, what it leaves."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from support.serving import find_free_port, wait_for_page

from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.settings import Settings
from phi3v.ui.serving import warn_about_link


def warned(settings: Settings, caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level(logging.WARNING, logger="phi3v"):
        warn_about_link(settings)
    return caplog.text


def test_a_link_without_a_login_starts_with_its_risk(caplog: pytest.LogCaptureFixture) -> None:
    message = warned(Settings(share=True), caplog)
    assert "Whoever has or guesses the link" in message
    assert "--auth user:password" in message


@pytest.mark.parametrize(
    "settings", [Settings(), Settings(share=True, auth="me:x"), Settings(share=True, no_auth=True)]
)
def test_nothing_else_is_warned_of(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    assert warned(settings, caplog) == ""


ROOT = Path(__file__).parents[2]


def start(
    temporary: Path, *arguments: str, model: str = "embedded"
) -> tuple[subprocess.Popen, str]:
    """Start app.py with a folder for its temporary files; return the process and its URL."""
    port = find_free_port()
    environment = {name: value for name, value in os.environ.items() if name[:6] != "PHI3V_"}
    environment |= {"GRADIO_TEMP_DIR": str(temporary), "TMPDIR": str(temporary)}
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port), "--model", model, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return process, f"http://127.0.0.1:{port}"


def upload(url: str) -> None:
    sent = {"files": ("upload.png", b"x" * 5000, "image/png")}
    assert httpx.post(f"{url}/gradio_api/upload", files=sent, timeout=30).status_code == 200


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_app_ends(tmp_path: Path, ending: signal.Signals) -> None:
    process, url = start(tmp_path)
    try:
        wait_for_page(url, 180)
        upload(url)
        assert list(tmp_path.rglob("upload.png"))
        process.send_signal(ending)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process, _ = start(tmp_path, "--port", str(taken.getsockname()[1]))
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "app.py: nothing can listen on 127.0.0.1" in output
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


def test_an_app_whose_weights_are_cut_ends_with_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(EMBEDDED_FOLDER, folder)
    os.truncate(folder / "model.safetensors", 1_000_000)
    process, _ = start(tmp_path / "temporary", model=str(folder))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "cut cannot be loaded: its files are damaged" in output
    assert "Traceback" not in output


def test_the_command_line_ends_with_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(EMBEDDED_FOLDER, folder)
    os.truncate(folder / "model.safetensors", 1_000_000)
    picture = next((ROOT / "assets" / "examples").glob("*.png"))
    command = [sys.executable, "-m", "phi3v", "ocr", str(picture), "--model", str(folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert ended.stderr.startswith("phi3v: cut cannot be loaded")
    assert ended.stderr.count("\n") == 1
