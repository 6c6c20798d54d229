"""/v1 of a running server, called by OpenAI's own client."""

import base64
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient
from support.fake_engine import FakeEngine, MeasuredEngine
from support.golden import ROOT
from support.images import encode
from support.serving import find_free_port, serve
from support.sites import resolve_site

from phi3v.inference.background_loading import LoadingEngine
from phi3v.inference.model_choice import ModelChoice, Offer
from phi3v.request import RequestError, Sampling, Turn
from phi3v.settings import Settings
from phi3v.ui.answering import make_stream
from phi3v.ui.api.openai import routes
from phi3v.ui.api.openai.errors import ApiError
from phi3v.ui.api.openai.routes import Service, make_routes, require_engine

LOGIN = ("me", "secret:1")


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return MeasuredEngine()


@pytest.fixture(scope="module")
def url(engine: FakeEngine) -> Iterator[str]:
    settings = Settings(upload_limit=1, max_new_tokens=50, num_crops=3, auth=":".join(LOGIN))
    with serve(engine, settings) as address:
        yield address


def connect(url: str, key: str = ":".join(LOGIN)) -> OpenAI:
    return OpenAI(base_url=f"{url}v1", api_key=key, max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def client(url: str) -> OpenAI:
    return connect(url)


def draw(colour: str, size: tuple[int, int] = (40, 30)) -> dict[str, Any]:
    """Return the part of a message that is a picture."""
    content = base64.b64encode(encode(Image.new("RGB", size, colour))).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{content}"}}


def text(content: str) -> dict[str, str]:
    return {"type": "text", "text": content}


def ask(client: OpenAI, content: object, **fields: Any) -> Any:
    messages = [{"role": "user", "content": content}]
    return client.chat.completions.create(model="fake", messages=messages, **fields)


def read(client: OpenAI, content: object, **fields: Any) -> str:
    return ask(client, content, **fields).choices[0].message.content


def test_the_served_model_is_listed(client: OpenAI) -> None:
    (model,) = client.models.list()
    assert model.id == "fake"
    assert client.models.retrieve("fake") == model
    assert model.model_dump()["max_model_len"] == 4096


def test_a_question_is_answered_with_its_usage(client: OpenAI) -> None:
    completion = ask(client, "say one two three")
    choice = completion.choices[0]
    assert choice.message.content == "one two three"
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert completion.usage.model_dump(exclude_none=True) == {
        "prompt_tokens": 100,
        "completion_tokens": 3,
        "total_tokens": 103,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_that_is_cut_says_so(client: OpenAI, name: str) -> None:
    choice = ask(client, "say one two three", **{name: 2}).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("one two", "length")


@pytest.mark.parametrize(
    "fields",
    [{}, {"max_tokens": 2}, {"stop": "three"}, {"stop": ["o t", "zzz"]}, {"stop": ["absent"]}],
    ids=str,
)
def test_a_streamed_answer_is_that_of_the_whole_one(client: OpenAI, fields: dict) -> None:
    question = "say one two three four"
    whole = ask(client, question, logprobs=True, **fields)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(ask(client, question, logprobs=True, **options, **fields))
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert choices[0].delta.role == "assistant"
    streamed = "".join(choice.delta.content or "" for choice in choices)
    assert streamed == whole.choices[0].message.content
    assert [choice.finish_reason for choice in choices[:-1]] == [None] * (len(choices) - 1)
    assert choices[-1].finish_reason == whole.choices[0].finish_reason
    told = [one for choice in choices if choice.logprobs for one in choice.logprobs.content]
    assert told == whole.choices[0].logprobs.content
    assert [chunk.usage for chunk in chunks] == [None] * (len(chunks) - 1) + [whole.usage]
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_without_options_has_no_usage(client: OpenAI) -> None:
    chunks = list(ask(client, "say one two", stream=True))
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert all(chunk.choices for chunk in chunks)


def test_a_stream_is_not_buffered_and_ends_with_done(url: str) -> None:
    body = {"model": "fake", "messages": [{"role": "user", "content": "say one"}], "stream": True}
    response = httpx.post(f"{url}v1/chat/completions", json=body, auth=LOGIN)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["cache-control"] == "no-cache"
    assert response.text.endswith("data: [DONE]\n\n")


def test_text_comes_before_the_answer_is_complete(client: OpenAI, engine: FakeEngine) -> None:
    engine.gate.clear()
    with ask(client, "held", stream=True) as stream:
        assert next(iter(stream)).choices[0].delta.content == "begun "
        engine.gate.set()
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream).startswith("0 pic")


def test_while_there_is_no_text_a_comment_keeps_the_connection(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "KEEP_ALIVE", 0.1)
    question = {"role": "user", "content": "silent"}
    body = {"model": "fake", "messages": [question], "stream": True}
    with httpx.stream("POST", f"{url}v1/chat/completions", json=body, auth=LOGIN) as response:
        lines = response.iter_lines()
        assert next(lines).startswith("data: ")
        assert next(line for line in lines if line and not line.startswith("data")) == ": waiting"


def test_log_probabilities_are_those_of_the_tokens(client: OpenAI) -> None:
    content = ask(client, "say one two ש", logprobs=True).choices[0].logprobs.content
    assert [one.token for one in content] == ["one", " two", " ש"]
    expected = [0.9, 0.9, 0.3]
    assert [math.exp(one.logprob) for one in content] == pytest.approx(expected)
    assert bytes(content[2].bytes).decode() == " ש"


def test_without_being_asked_for_they_are_not_there(client: OpenAI, engine: FakeEngine) -> None:
    assert ask(client, "say one").choices[0].logprobs is None
    assert not engine.requests[-1].wants_probabilities


def test_text_is_cut_before_the_stop_string(client: OpenAI) -> None:
    completion = ask(client, "say one two three four", stop=[" three", "zzz"], logprobs=True)
    choice = completion.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("one two", "stop")
    assert completion.usage.completion_tokens == 3
    assert [one.token for one in choice.logprobs.content] == ["one", " two"]


def test_every_field_reaches_the_engine(client: OpenAI, engine: FakeEngine) -> None:
    more = {
        "stop_token_ids": [5, 6],
        "mm_processor_kwargs": {"num_crops": 4},
        "continue_final_message": True,
        "add_generation_prompt": False,
        "add_special_tokens": True,
    }
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [text("What is"), draw("red"), text("this?"), draw("blue")]},
        {"role": "assistant", "content": "A red"},
        {"role": "user", "content": [draw("black", (6, 5)), text("And this?")]},
        {"role": "assistant", "content": "It is"},
    ]
    client.chat.completions.create(
        model="fake", messages=messages, max_tokens=9, temperature=0.5, top_p=0.9, seed=3,
        stop="END", logprobs=True, extra_body=more,
    )  # fmt: skip
    request = engine.requests[-1]
    assert request.sampling == Sampling(9, 0.5, 0.9, 3)
    assert [replace(turn, images=()) for turn in request.turns] == [
        Turn("system", "Be brief."),
        Turn("user", "What is\nthis?"),
        Turn("assistant", "A red"),
        Turn("user", "And this?"),
        Turn("assistant", "It is"),
    ]
    assert [len(turn.images) for turn in request.turns] == [0, 2, 0, 1, 0]
    assert (request.is_continued, request.wants_probabilities) == (True, True)
    assert (request.num_crops, request.stop_strings) == (4, ("END",))
    assert request.stop_token_ids == (5, 6)


def test_without_fields_the_settings_hold(client: OpenAI, engine: FakeEngine) -> None:
    ask(client, "say one", seed=-1)
    assert engine.requests[-1].sampling == Sampling(50, 0.0, 1.0, None)
    assert engine.requests[-1].num_crops == 3


def test_pictures_keep_their_order_over_turns(client: OpenAI) -> None:
    messages = [
        {"role": "user", "content": [draw("#ff0000"), text("What is this?"), draw("#00ff00")]},
        {"role": "assistant", "content": "Colours."},
        {"role": "user", "content": [text("colours"), draw("#0000ff")]},
    ]
    completion = client.chat.completions.create(model="fake", messages=messages)
    answer = completion.choices[0].message.content
    assert "3 pictures (#ff0000, #00ff00, #0000ff)" in answer


def test_a_picture_s_file_is_deleted_with_its_answer(client: OpenAI, engine: FakeEngine) -> None:
    assert read(client, [draw("red", (6, 5)), text("What?")]).startswith("1 pictures (6 x 5)")
    (path,) = engine.requests[-1].turns[-1].images
    assert not Path(path).parent.exists()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, site_port: int) -> str:
    monkeypatch.setattr("phi3v.documents.download.resolve_public", resolve_site)
    return f"http://pictures.example:{site_port}"


def at(address: str) -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": {"url": address}}, text("What?")]


def test_a_picture_is_fetched_from_a_public_address(client: OpenAI, site: str) -> None:
    assert read(client, at(f"{site}/picture.png")).startswith("1 pictures (6 x 5)")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/huge", "larger than the limit of 1 MB"),
        ("/nothing", "404"),
        ("/to?http://127.0.0.1/x", "not on the public internet"),
    ],
)
def test_a_bad_address_is_refused(client: OpenAI, site: str, path: str, message: str) -> None:
    with pytest.raises(openai.BadRequestError, match=message) as raised:
        read(client, at(f"{site}{path}"))
    assert raised.value.param == "messages[0].content[0]"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:1/x.png", "not on the public internet"),
        ("file:///etc/passwd", "no web address"),
        ("/etc/passwd", "no web address"),
        ("data:image/png;base64,???", "no data URL"),
        ("data:image/png,abc", "no data URL"),
        ("data:text/plain;base64,aGVsbG8=", "Image 1 is not a picture but a text file"),
    ],
)
def test_what_is_no_picture_is_refused(client: OpenAI, address: str, message: str) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match=message):
            ask(client, at(address), stream=stream)


def test_a_picture_over_the_upload_limit_is_refused(client: OpenAI) -> None:
    large = "data:image/png;base64," + "A" * 1_500_000
    with pytest.raises(
        openai.APIStatusError, match=r"Image 1 has 1\.1 MB, the limit is 1"
    ) as raised:
        ask(client, at(large))
    assert raised.value.status_code == 413


def test_a_body_over_four_uploads_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="4 times --upload-limit") as raised:
        ask(client, "A" * 7_000_000)
    assert raised.value.status_code == 413


def test_too_many_pictures_are_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="17 pictures were sent, the limit is 16"):
        ask(client, [draw("red", (2, 2))] * 17)


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    messages = [{"role": "user", "content": "say one"}]
    for call in (
        lambda: client.chat.completions.create(model="gpt", messages=messages),
        lambda: client.models.retrieve("gpt"),
    ):
        with pytest.raises(
            openai.NotFoundError, match="no model 'gpt' here, only 'fake'"
        ) as raised:
            call()
        assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


def test_what_the_engine_refuses_is_the_client_s_error(client: OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="5000 tokens, the limit is 4000"):
            ask(client, "refuse", stream=stream)


def test_a_failure_is_the_server_s_and_reveals_no_details(client: OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.InternalServerError, match="written to the log") as raised:
            ask(client, "break", stream=stream)
        assert "secret" not in str(raised.value.body)


def test_a_failure_after_the_first_token_ends_the_stream_with_an_error(
    client: OpenAI, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = engine.write

    def fail(request: Any) -> Iterator[Any]:
        yield next(whole(request))
        raise RuntimeError("a secret from the inside")

    monkeypatch.setattr(engine, "write", fail)
    stream = ask(client, "say one two", stream=True)
    assert next(stream).choices[0].delta.content == "one"
    with pytest.raises(openai.APIError, match="written to the log"):
        next(stream)


def test_a_refusal_is_in_the_client_s_language(client: OpenAI) -> None:
    headers = {"Accept-Language": "he"}
    with pytest.raises(openai.BadRequestError, match="[א-ת]"):
        ask(client, at("http://127.0.0.1/x"), extra_headers=headers)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("POST", "/v1/embeddings", 404),
        ("POST", "/v1/responses", 404),
        ("GET", "/v1/", 404),
    ],
)
def test_another_address_is_an_error_in_the_same_form(
    url: str, method: str, path: str, status: int
) -> None:
    response = httpx.request(method, url + path[1:], auth=LOGIN)
    assert response.status_code == status
    assert "is not served here" in response.json()["error"]["message"]


def test_a_client_that_stops_reading_ends_the_answer(client: OpenAI, engine: FakeEngine) -> None:
    with ask(client, "slow", stream=True) as stream:
        assert next(stream).choices[0].delta.content == "word1 "
        assert engine.running == 1
    assert engine.ended.wait(2)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_client_that_gives_up_before_there_is_text_ends_the_answer(
    client: OpenAI, engine: FakeEngine, stream: bool
) -> None:
    count = len(engine.requests)
    with pytest.raises((openai.APITimeoutError, httpx.ReadTimeout)):
        list(ask(client.with_options(timeout=0.3), "silent", stream=stream))
    assert len(engine.requests) == count + 1
    assert engine.ended.wait(2)


def test_a_client_that_does_not_read_holds_nobody_up(url: str, engine: FakeEngine) -> None:
    question = "say " + f"{'word' * 50_000} " * 25  # 5 MB, more than a connection buffers
    body = {"model": "fake", "messages": [{"role": "user", "content": question}], "stream": True}
    with httpx.stream("POST", f"{url}v1/chat/completions", json=body, auth=LOGIN) as response:
        assert response.status_code == 200  # and nothing of it is read
        assert engine.ended.wait(30)
        assert read(connect(url), "say one") == "one"


def test_8_clients_at_once_each_get_their_own_answer(url: str) -> None:
    colours = [f"#{number:02x}80ff" for number in range(8)]

    def call(number: int) -> str:
        question = [draw(colours[number]), text("colours")]
        if number % 2:
            return read(connect(url), question)
        stream = ask(connect(url), question, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(8)))
    assert [re.search(r"#\w+", answer)[0] for answer in answers] == colours


def test_the_login_may_be_basic(url: str) -> None:
    assert httpx.get(f"{url}v1/models", auth=LOGIN).json()["data"][0]["id"] == "fake"


def test_a_wrong_key_is_refused(url: str) -> None:
    calls: list[tuple[str, Callable[[openai.OpenAI], object]]] = [
        ("any", lambda client: client.models.list()),
        ("me:secret", lambda client: client.models.retrieve("fake")),
        ("me:secret:2", lambda client: read(client, "say one")),
        ("any", lambda client: client.embeddings.create(model="fake", input="a")),
    ]
    for key, call in calls:
        with pytest.raises(openai.AuthenticationError, match="Log in first"):
            call(connect(url, key))


def test_only_health_is_told_without_a_login(url: str) -> None:
    assert httpx.get(f"{url}health").json() == {"status": "ok"}
    assert httpx.get(f"{url}v1/models").status_code == 401


def test_a_container_s_health_check_tells_whether_the_app_answers(url: str) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    command = json.loads(re.search(r"HEALTHCHECK .*?CMD (\[.*?\])$", dockerfile, re.M | re.S)[1])

    def check(port: int | str) -> int:
        run = [sys.executable, *command[1:]]
        environment = os.environ | {"PHI3V_PORT": str(port)}
        return subprocess.run(run, env=environment, capture_output=True, check=False).returncode

    assert check(url.rstrip("/").rpartition(":")[2]) == 0
    assert check(find_free_port()) != 0


class Loading:
    """Loads when `gate` is set: an engine, or what prevents it."""

    def __init__(self, result: FakeEngine | Exception) -> None:
        self.gate = threading.Event()
        self.result = result

    def __call__(self) -> Any:
        self.gate.wait()
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class NoLimit:
    """The limit of a queue that is never full."""

    is_full = False

    def enter(self) -> bool:
        return True

    def leave(self) -> None:
        pass


def test_while_the_model_is_loading_clients_are_told_to_come_back() -> None:
    load = Loading(FakeEngine())
    engine = LoadingEngine(load, "fake")
    service = Service(engine, make_stream(engine, None), Settings(), NoLimit())
    client = TestClient(Starlette(routes=make_routes(service)))
    body = {"model": "fake", "messages": [{"role": "user", "content": "say one"}]}
    assert client.get("/v1/models").json()["data"][0]["id"] == "fake"
    early = client.post("/v1/chat/completions", json=body)
    assert (early.status_code, early.headers["retry-after"]) == (503, "5")
    assert "still being loaded" in early.json()["error"]["message"]
    assert client.get("/health").status_code == 503
    load.gate.set()
    while client.get("/health").status_code == 503:
        time.sleep(0.02)
    assert client.post("/v1/chat/completions", json=body).status_code == 200


class ClosingEngine(FakeEngine):
    """A FakeEngine that can be replaced by another."""

    def close(self) -> None:
        pass


def test_of_several_models_a_request_chooses_one_by_its_name() -> None:
    engine = ModelChoice({name: Offer(name, ClosingEngine) for name in ("first", "second")})
    service = Service(engine, make_stream(engine, None), Settings(), NoLimit())
    client = TestClient(Starlette(routes=make_routes(service)))
    while client.get("/health").status_code == 503:
        time.sleep(0.02)
    assert [one["id"] for one in client.get("/v1/models").json()["data"]] == ["first", "second"]
    body = {"model": "second", "messages": [{"role": "user", "content": "say one"}]}
    assert client.post("/v1/chat/completions", json=body).json()["model"] == "second"
    assert engine.model == "second"


def test_a_model_that_could_not_be_loaded_is_told() -> None:
    load = Loading(RequestError("The folder has no weights."))
    load.gate.set()
    engine = LoadingEngine(load, "fake")
    while engine.is_loading:
        time.sleep(0.01)
    service = Service(engine, None, Settings(), None)
    with pytest.raises(ApiError, match="could not be loaded: The folder has no weights") as raised:
        require_engine(service)
    assert (raised.value.status, raised.value.retry_after) == (503, None)


def test_the_example_of_the_documentation_works(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = (ROOT / "docs" / "usage.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", usage, re.DOTALL)
    (example,) = [block for block in blocks if "openai" in block]
    monkeypatch.chdir(ROOT)
    example = example.replace("http://127.0.0.1:7860/", url).replace('"any"', '"me:secret:1"')
    exec(example, {})
    assert "1 pictures (336 x 336). Turn 1: What is this?" in capsys.readouterr().out


def test_answers_are_json_that_says_what_it_is(url: str) -> None:
    body = {"model": "fake", "messages": [{"role": "user", "content": "say שלום"}]}
    response = httpx.post(f"{url}v1/chat/completions", content=json.dumps(body), auth=LOGIN)
    assert response.json()["object"] == "chat.completion"
    assert response.json()["choices"][0]["message"]["content"] == "שלום"
