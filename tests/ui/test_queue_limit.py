"""One limit holds for the page's questions and those of /v1 together."""

import time
from collections.abc import Callable, Iterator

import openai
import pytest
from gradio_client import Client
from openai import OpenAI
from support.fake_engine import FakeEngine
from support.serving import connect, serve

from phi3v.settings import Settings
from phi3v.ui.api.openai import routes


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def url(engine: FakeEngine) -> Iterator[str]:
    with serve(engine, Settings(queue_size=1)) as address:
        yield address


def ask(url: str, question: str, **fields: object) -> object:
    client = OpenAI(base_url=f"{url}v1", api_key="any", max_retries=0)
    messages = [{"role": "user", "content": question}]
    return client.chat.completions.create(model="fake", messages=messages, **fields)


def turns(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "text": question}]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def hold_by_page(url: str, engine: FakeEngine) -> Client:
    """Let the page answer one question until the gate is open, and return its client."""
    client = connect(url)
    next(iter(client.submit(turns("held"), api_name="/chat")))
    return client


def test_a_request_of_v1_is_refused_where_the_page_s_fill_the_queue(
    url: str, engine: FakeEngine
) -> None:
    engine.gate.clear()
    client = hold_by_page(url, engine)
    waiting = client.submit(turns("say two"), api_name="/chat")
    time.sleep(0.5)  # it joins Gradio's queue, which tells nobody
    with pytest.raises(openai.RateLimitError, match="queue is full: 1 requests wait") as raised:
        ask(url, "say three")
    assert raised.value.response.headers["retry-after"] == "10"
    assert raised.value.code == "queue_full"
    engine.gate.set()
    assert waiting.result(timeout=10) == "two"
    wait_for(lambda: not engine.queue)
    assert ask(url, "say four").choices[0].message.content == "four"


def test_a_question_of_the_page_is_refused_where_those_of_v1_fill_the_queue(
    url: str, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "KEEP_ALIVE", 0.1)
    engine.gate.clear()
    held = ask(url, "held", stream=True)
    next(held)
    waiting = ask(url, "say two", stream=True)
    wait_for(lambda: len(engine.queue) == 2)
    with pytest.raises(Exception, match="[Qq]ueue is full"):
        connect(url).predict(turns("say three"), api_name="/chat")
    engine.gate.set()
    assert "".join(chunk.choices[0].delta.content or "" for chunk in waiting) == "two"
    held.close()
    wait_for(lambda: not engine.queue)
    assert connect(url).predict(turns("say four"), api_name="/chat") == "four"
