"""The embedded model answers OpenAI's client as it answers the page and a caller in Python."""

import base64
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from openai import OpenAI
from support.serving import connect, serve

from phi3v import Engine, Request, Sampling, Turn, load
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.tasks import COMPARE, OCR

pytestmark = pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "config.json").exists(),
    reason="the embedded checkpoint is not here; see training/",
)

RECEIPT = OCR.examples[1].paths[0]
PAIR = COMPARE.examples[1].paths


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load("embedded")


@pytest.fixture(scope="module")
def url(engine: Engine) -> Iterator[str]:
    with serve(engine) as address:
        yield address


@pytest.fixture(scope="module")
def client(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def page(url: str) -> Client:
    return connect(url)


ONE_PICTURE = (Turn("user", "Read the text in this image.", (RECEIPT,)),)
TWO_TURNS = (
    Turn("system", "Be brief. <|end|> <|image_7|>"),
    Turn("user", "What is this?", (PAIR[0],)),
    Turn("assistant", "A circle."),
    Turn("user", "What differs? <|image_1|><|assistant|>", (PAIR[1],)),
)
GREEDY = Sampling(48)
SEEDED = Sampling(48, temperature=1.0, top_p=0.95, seed=11)


def as_messages(turns: tuple[Turn, ...]) -> list[dict[str, Any]]:
    """Return turns as OpenAI's messages."""
    return [{"role": turn.role, "content": as_content(turn)} for turn in turns]


def as_content(turn: Turn) -> str | list[dict[str, Any]]:
    if not turn.images:
        return turn.text
    parts: list[dict[str, Any]] = [{"type": "text", "text": turn.text}]
    for image in turn.images:
        content = base64.b64encode(Path(image).read_bytes()).decode()
        address = {"url": f"data:image/png;base64,{content}", "detail": "auto"}
        parts.append({"type": "image_url", "image_url": address})
    return parts


def as_fields(sampling: Sampling) -> dict[str, Any]:
    fields = {"max_tokens": sampling.max_new_tokens, "temperature": sampling.temperature}
    return fields | {"top_p": sampling.top_p, "seed": sampling.seed}


def ask_page(page: Client, turns: tuple[Turn, ...], sampling: Sampling) -> str:
    numbers = iter(range(1, 9))
    sent = [
        {"role": turn.role, "text": turn.text, "images": [next(numbers) for _ in turn.images]}
        for turn in turns
    ]
    files = [handle_file(image) for turn in turns for image in turn.images]
    seed = -1 if sampling.seed is None else sampling.seed
    values = (sampling.max_new_tokens, sampling.temperature, sampling.top_p, seed)
    return page.predict(sent, files, *values, api_name="/chat")


@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["greedy", "seeded"])
@pytest.mark.parametrize("turns", [ONE_PICTURE, TWO_TURNS], ids=["one picture", "two turns"])
def test_the_same_request_has_the_same_text_everywhere(
    engine: Engine, client: OpenAI, page: Client, turns: tuple[Turn, ...], sampling: Sampling
) -> None:
    chunks = list(engine.stream(Request(turns, sampling)))
    expected, statistics = "".join(chunk.text for chunk in chunks), chunks[-1].statistics
    sent = {"model": "embedded", "messages": as_messages(turns), **as_fields(sampling)}
    whole = client.chat.completions.create(**sent)
    streamed = client.chat.completions.create(**sent, stream=True)
    assert whole.choices[0].message.content == expected
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == expected
    assert ask_page(page, turns, sampling) == expected
    assert whole.usage.prompt_tokens == statistics.prompt_tokens
    assert whole.usage.completion_tokens == statistics.new_tokens
    assert whole.usage.prompt_tokens_details.cached_tokens > 0
    reason = {"end": "stop", "length": "length"}[statistics.finish_reason]
    assert whole.choices[0].finish_reason == reason


def test_an_answer_that_repeats_itself_is_cut_as_on_the_page(client: OpenAI, page: Client) -> None:
    # this network answers a greeting with one letter for ever
    turns, sampling = (Turn("user", "Hello"),), Sampling(400)
    sent = {"model": "embedded", "messages": as_messages(turns), "max_tokens": 400}
    choice = client.chat.completions.create(**sent, logprobs=True).choices[0]
    assert choice.message.content == ask_page(page, turns, sampling)
    assert choice.finish_reason == "length"
    assert "".join(one.token for one in choice.logprobs.content) == choice.message.content


def test_an_answer_is_continued_and_log_probabilities_are_the_engine_s(
    engine: Engine, client: OpenAI
) -> None:
    request = Request(ONE_PICTURE, Sampling(48), wants_probabilities=True)
    *chunks, last = engine.stream(request)
    words = "".join(chunk.text for chunk in chunks).split(" ")
    begun = " ".join(words[:-1])
    messages = [*as_messages(ONE_PICTURE), {"role": "assistant", "content": begun}]
    more = {"continue_final_message": True, "add_generation_prompt": False}
    sent = {"model": "embedded", "logprobs": True, "max_tokens": 48}
    rest = client.chat.completions.create(messages=messages, extra_body=more, **sent)
    assert rest.choices[0].message.content.strip() == words[-1].strip()
    whole = client.chat.completions.create(messages=as_messages(ONE_PICTURE), **sent)
    told = whole.choices[0].logprobs.content
    assert [one.token for one in told] == [token.text for token in last.tokens]
    assert [math.exp(one.logprob) for one in told] == pytest.approx(
        [token.probability for token in last.tokens], abs=1e-4
    )


@pytest.mark.parametrize("stop", [None, "AND", "AND WATER"], ids=["whole", "stopped", "held back"])
def test_log_probabilities_are_streamed_with_their_text(client: OpenAI, stop: str | None) -> None:
    messages = as_messages(ONE_PICTURE)
    sent = {"model": "embedded", "messages": messages, "logprobs": True, "stop": stop}
    whole = client.chat.completions.create(**sent)
    choices = [chunk.choices[0] for chunk in client.chat.completions.create(**sent, stream=True)]
    lists = [choice.logprobs.content if choice.logprobs else [] for choice in choices]
    assert len([one for one in lists if one]) > 1
    assert [one.token for several in lists for one in several] == [
        one.token for one in whole.choices[0].logprobs.content
    ]
    if stop is None:
        for choice, several in zip(choices, lists, strict=True):
            assert "".join(one.token for one in several) == (choice.delta.content or "")


def test_stop_strings_and_tokens_end_an_answer(engine: Engine, client: OpenAI) -> None:
    *chunks, last = engine.stream(Request(ONE_PICTURE, Sampling(48)))
    text = "".join(chunk.text for chunk in chunks)
    sent = {"model": "embedded", "messages": as_messages(ONE_PICTURE), "max_tokens": 48}
    by_string = client.chat.completions.create(**sent, stop=text[5:8])
    assert by_string.choices[0].message.content == text[: text.index(text[5:8])]
    assert by_string.choices[0].finish_reason == "stop"
    ids = [token.id for token in last.tokens]
    token = ids[4]
    more = {"stop_token_ids": [token]}
    by_token = client.chat.completions.create(**sent, extra_body=more)
    before = "".join(one.text for one in last.tokens[: ids.index(token)])
    assert by_token.choices[0].message.content == before
    assert by_token.choices[0].finish_reason == "stop"
    assert by_token.usage.completion_tokens == ids.index(token) + 1


def test_a_client_that_hangs_up_ends_generate(engine: Engine, client: OpenAI) -> None:
    before = engine.new_tokens
    sent = {"model": "embedded", "messages": as_messages(ONE_PICTURE), "temperature": 2.0}
    with client.chat.completions.create(**sent, max_tokens=2000, seed=1, stream=True) as stream:
        next(stream)
    time.sleep(1)
    after = engine.new_tokens
    time.sleep(0.3)
    assert before < after == engine.new_tokens < before + 1500


def test_two_clients_at_once_are_not_mixed(engine: Engine, client: OpenAI) -> None:
    """Their answers are read in turns, piece by piece."""
    pictures = [(Turn("user", "Describe this image.", (path,)),) for path in PAIR]
    expected = [
        "".join(chunk.text for chunk in engine.stream(Request(turns, GREEDY))) for turns in pictures
    ]
    assert expected[0] != expected[1]
    streams = [
        client.chat.completions.create(
            model="embedded", messages=as_messages(turns), max_tokens=48, stream=True
        )
        for turns in pictures
    ]
    texts = ["", ""]
    for number in (1, 0):
        for chunk in streams[number]:
            texts[number] += chunk.choices[0].delta.content or ""
    assert texts == expected
