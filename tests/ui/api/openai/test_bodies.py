"""Bodies of /v1/chat/completions: what clients really send is read, the rest is refused by name."""

import json
from typing import Any

import pytest

from phi3v.ui.api.openai.bodies import ChatBody, read_body
from phi3v.ui.api.openai.errors import ApiError

QUESTION = [{"role": "user", "content": "What is this?"}]


def read(**fields: Any) -> ChatBody:
    return read_body(json.dumps({"model": "m", "messages": QUESTION} | fields).encode())


def refuse(**fields: Any) -> ApiError:
    with pytest.raises(ApiError) as raised:
        read(**fields)
    assert raised.value.status == 400
    return raised.value


# As langchain-openai's ChatOpenAI sends it.
LANGCHAIN = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Answer briefly."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        },
        {"role": "assistant", "content": "A circle.", "name": None},
        {"role": "user", "content": "Which colour?", "name": "someone"},
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.7,
    "n": 1,
    "stop": None,
    "max_completion_tokens": 64,
    "logprobs": None,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "logit_bias": {},
    "parallel_tool_calls": True,
    "tools": [],
    "tool_choice": "auto",
    "response_format": {"type": "text"},
    "seed": 7,
    "top_logprobs": None,
}
# As Open WebUI sends it, with the advanced parameters at their defaults.
OPEN_WEBUI = {
    "stream": True,
    "model": "m",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA"}},
            ],
        }
    ],
    "stream_options": {"include_usage": True},
    "max_tokens": 128,
    "temperature": 0.8,
    "top_p": 0.9,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "stop": ["User:"],
    "seed": 0,
    "metadata": {"chat": "1"},
    "user": "someone",
}
# As LibreChat sends it, with an answer of OpenAI's own client sent back as it came.
LIBRE_CHAT = {
    "model": "m",
    "user": "65f0",
    "stream": True,
    "messages": [
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": "https://a.example/b.png"}],
        },
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "annotations": [],
            "audio": None,
            "function_call": None,
            "tool_calls": None,
        },
        {"role": "user", "content": "Go on."},
    ],
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
}
# As a second phi3v, or any client of vLLM, sends it.
VLLM = {
    "model": "m",
    "messages": [*QUESTION, {"role": "assistant", "content": "A red"}],
    "continue_final_message": True,
    "add_generation_prompt": False,
    "add_special_tokens": True,
    "stop_token_ids": [32007, 32000],
    "mm_processor_kwargs": {"num_crops": 4},
    "logprobs": True,
    "top_logprobs": 0,
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": False},
    "repetition_penalty": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "skip_special_tokens": True,
    "max_tokens": 32,
}


@pytest.mark.parametrize(
    "sent",
    [LANGCHAIN, OPEN_WEBUI, LIBRE_CHAT, VLLM],
    ids=["langchain", "open-webui", "librechat", "vllm"],
)
def test_what_known_clients_send_is_read(sent: dict[str, Any]) -> None:
    body = read_body(json.dumps(sent).encode())
    assert body.stream
    assert len(body.messages) == len(sent["messages"])


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"presence_penalty": 0},
        {"frequency_penalty": 0.0},
        {"tools": []},
        {"tools": None},
        {"tool_choice": "none"},
        {"functions": []},
        {"logit_bias": {}},
        {"response_format": {"type": "text"}},
        {"user": "someone", "metadata": {"a": "b"}, "store": False, "service_tier": "auto"},
        {"stop": []},
        {"seed": None, "temperature": None, "max_tokens": None, "stream": None},
    ],
    ids=str,
)
def test_a_field_that_changes_nothing_is_accepted(fields: dict[str, Any]) -> None:
    assert read(**fields) == read()


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"n": 2}, "n"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": -1}, "presence_penalty"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logit_bias": {"5": 3}}, "logit_bias"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"best_of": 4}, "best_of"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"no_such_field": 1}, "no_such_field"),
        ({"mm_processor_kwargs": {"num_frames": 4}}, "mm_processor_kwargs.num_frames"),
        ({"mm_processor_kwargs": {"num_crops": 0}}, "mm_processor_kwargs.num_crops"),
        ({"mm_processor_kwargs": {"num_crops": 65}}, "mm_processor_kwargs.num_crops"),
        ({"stream": True, "stream_options": {"include": 1}}, "stream_options.include"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": "0.5"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"stop": [""]}, "stop[0]"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": 5}, "stop"),
        ({"stop_token_ids": [-1]}, "stop_token_ids[0]"),
        ({"stream": "yes"}, "stream"),
        ({"model": 5}, "model"),
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "a", "x": 1}]}, "messages[0].x"),
        (
            {"messages": [*QUESTION, {"role": "assistant", "tool_calls": [{"id": "1"}]}]},
            "messages[1].tool_calls",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
            "messages[0].content[0].text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"continue_final_message": True}, "continue_final_message"),
        ({"add_generation_prompt": False}, "add_generation_prompt"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_by_its_name(fields: dict[str, Any], name: str) -> None:
    error = refuse(**fields)
    assert error.param == name
    assert name in error.message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"hello"',
        b"\xff",
        b'{"model": "\\ud800"}',
        b'{"temperature": NaN}',
        b"[" * 100_000,
        b"9" * 100_000,
    ],
    ids=lambda content: repr(content[:20]),
)
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(ApiError) as raised:
        read_body(content)
    assert raised.value.status == 400


def test_text_alone_is_one_part() -> None:
    parts = [{"type": "text", "text": "What is this?"}]
    assert read(messages=[{"role": "user", "content": parts}]) == read()


def test_one_stop_string_is_a_list_of_one() -> None:
    assert read(stop="END").stop == ["END"]
