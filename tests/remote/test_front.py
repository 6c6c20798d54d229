"""The page and the command line in front of servers: what they say, and what they load."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image
from support.fake_engine import FakeEngine
from support.fake_server import FakeServer, echo, run_servers
from support.golden import ROOT
from support.remote_engine import ask, connect

from phi3v.cli.main import main
from phi3v.request import Sampling
from phi3v.settings import Settings
from phi3v.ui import serving
from phi3v.ui.answering import follow_answer, make_stream
from phi3v.ui.chat.estimating import describe_estimates
from phi3v.ui.chat.transfer import name_checkpoint
from phi3v.ui.page import describe_engine
from phi3v.ui.wiring import MAX_PARALLEL, MAX_QUEUED, engine_queue

# Builds the page as `python app.py --server URL` does, asks it, and lists the heavy modules.
PAGE = """
import sys
from phi3v.request import Request, Turn
from phi3v.settings import read_settings
from phi3v.ui import serving, page
settings = read_settings(["--server", sys.argv[1]])
engine = serving.open_engine(settings)
page.build_page(engine, settings)
engine.wait_until_asked()
print("".join(chunk.text for chunk in engine.stream(Request((Turn("user", "Hello"),)))))
print(sorted({"torch", "transformers"} & set(sys.modules)))
"""
# What `python app.py` does before it builds the page, with loading held up.
LOCAL = """
import sys, threading
from phi3v.settings import read_settings
from phi3v.ui import page, serving
gate = threading.Event()
serving.load_chosen = lambda settings: gate.wait()
serving.open_engine(read_settings(["--model", "embedded"]))
print(sorted({"torch", "transformers"} & set(sys.modules)))
"""


def run(code: str, *arguments: str) -> list[str]:
    """Return the lines that Python code prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_in_front_of_servers_nothing_imports_torch_or_transformers() -> None:
    with run_servers(echo) as (server,):
        assert run(PAGE, server.url) == ["Hello", "[]"]


def test_the_page_of_a_local_model_does_not_wait_for_torch_and_transformers() -> None:
    assert run(LOCAL) == ["[]"]


def test_a_model_is_loaded_once_the_page_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = threading.Event()

    def load_chosen(settings: Settings) -> FakeEngine:
        loaded.set()
        return FakeEngine()

    monkeypatch.setattr(serving, "load_chosen", load_chosen)
    served = threading.Event()
    engine = serving.open_engine(Settings(model="embedded"), served)
    assert not loaded.wait(0.1)
    assert engine.status.state == "loading"
    served.set()
    assert loaded.wait(20)


def test_the_note_names_the_servers_and_those_that_do_not_answer() -> None:
    dead = FakeServer()
    dead.kill()
    with run_servers(echo) as (server,), connect(server, dead) as engine:
        engine.pool.servers[0].model = "m"
        note = describe_engine(engine)
    assert note.startswith(f"Answers come from **embedded** on 127.0.0.1:{server.port}.")
    assert note.endswith(f"The server at 127.0.0.1:{dead.port} cannot be reached.")


def test_the_note_says_which_server_was_asked_and_what_to_do() -> None:
    dead = FakeServer()
    dead.kill()
    with connect(dead) as engine:
        assert describe_engine(engine) == (
            f"No server answers. The server at 127.0.0.1:{dead.port} cannot be reached. Start one, "
            "or give another address with --server. This page goes on by itself once one answers."
        )
        assert engine.sized is None
        assert not engine.status.is_final


def test_the_page_estimates_and_answers() -> None:
    with run_servers(echo) as servers, connect(*servers) as engine:
        picture = Image.new("RGB", (600, 300))
        estimates = describe_estimates(engine, [picture], "What?", Sampling(16))
        assert estimates["fast"]["image_tokens"] == 313
        steps = list(follow_answer(make_stream(engine, None), ask("One two")))
        assert (steps[-1].text, steps[-1].finish_reason) == ("One two", "end")
        assert "64 reused" in steps[-1].figures
        assert name_checkpoint(engine) == ("embedded", "")


def test_the_page_s_queue_lets_as_many_run_as_the_servers() -> None:
    assert engine_queue(Settings())["concurrency_limit"] == MAX_QUEUED
    many = Settings(server="http://gpu1:8000")
    assert engine_queue(many)["concurrency_limit"] == MAX_PARALLEL - 1 + MAX_QUEUED
    few = Settings(server="http://gpu1:8000", parallel=2, queue_size=1)
    assert engine_queue(few)["concurrency_limit"] == 2


def test_the_command_line_answers_by_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    with run_servers(echo) as (server,):
        arguments = ["describe", str(tmp_path / "a.png"), "--question", "What now?", "--json"]
        assert main([*arguments, "--server", server.url]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["text"], record["model"], record["revision"]) == ("What now?", "embedded", "")


def test_the_command_line_says_that_no_server_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    dead = FakeServer()
    dead.kill()
    assert main(["ocr", str(tmp_path / "a.png"), "--server", dead.url]) == 2
    assert "phi3v: No server answers." in capsys.readouterr().err
