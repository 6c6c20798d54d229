"""The body of POST /v1/chat/completions: what is understood, what is accepted, what is refused.

A field is either understood, without effect here, or accepted at the value that asks for nothing;
any other is refused by its name, so that no client believes it was obeyed. null is "not given".
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import from_json

from phi3v.ui.api.openai.errors import ApiError

WITHOUT_EFFECT: Final = {
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
    "prompt_cache_retention", "parallel_tool_calls", "request_id", "priority",
}  # fmt: skip
# The values at which a field changes nothing.
NEUTRAL: Final[Mapping[str, Sequence[object]]] = {
    "n": (1,),
    "best_of": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "length_penalty": (1,),
    "logit_bias": ({},),
    "top_logprobs": (0,),
    "top_k": (-1, 0),
    "min_p": (0,),
    "min_tokens": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "ignore_eos": (False,),
    "echo": (False,),
    "return_token_ids": (False,),
    "use_beam_search": (False,),
    "include_stop_str_in_output": (False,),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
}
# The same of a message: clients send answers back as they came.
MESSAGE_WITHOUT_EFFECT: Final = {"name", "reasoning", "reasoning_content"}
MESSAGE_NEUTRAL: Final[Mapping[str, Sequence[object]]] = {
    "refusal": (),
    "audio": (),
    "function_call": (),
    "tool_calls": ([],),
    "annotations": ([],),
}
INT64: Final = 2**63


class Part(BaseModel):
    """A part of the body; unknown names and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(Part):
    """A text of a message."""

    type: Literal["text"]
    text: str


class ImageAddress(Part):
    """A data: URL or a public address; all pictures of a request have the same detail."""

    url: str = Field(min_length=1)
    detail: Literal["auto", "low", "high", "original"] | None = None  # without effect


class ImagePart(Part):
    """A picture of a message."""

    type: Literal["image_url"]
    image_url: ImageAddress

    @field_validator("image_url", mode="before")
    @classmethod
    def wrap_address(cls, sent: object) -> object:
        """Take an address alone for an object with it."""
        return {"url": sent} if isinstance(sent, str) else sent


class Message(Part):
    """A turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]

    @field_validator("content", mode="before")
    @classmethod
    def wrap_text(cls, sent: object) -> object:
        """Take text alone for its only part."""
        return [{"type": "text", "text": sent}] if isinstance(sent, str) else sent


class StreamOptions(Part):
    """What a streamed answer has besides its text."""

    include_usage: bool = False
    continuous_usage_stats: Literal[False] = False
    include_obfuscation: bool = False  # without effect


class ProcessorOptions(Part):
    """vLLM's name for the most crops that a picture is cut into."""

    num_crops: int | None = Field(default=None, ge=1, le=64)


class ChatBody(Part):
    """A conversation and how its answer is sampled; names and defaults as in OpenAI's API.

    But the temperature is 0 by default, as everywhere in this app.
    """

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = Field(None, ge=-INT64, lt=INT64)
    stop: list[Annotated[str, Field(min_length=1)]] = Field([], max_length=16)
    stop_token_ids: list[Annotated[int, Field(ge=0, lt=2**31)]] = []
    logprobs: bool = False
    add_special_tokens: bool = True  # without effect: a prompt always begins as the model expects
    add_generation_prompt: bool | None = None
    continue_final_message: bool = False
    mm_processor_kwargs: ProcessorOptions = ProcessorOptions()

    @field_validator("stop", mode="before")
    @classmethod
    def wrap_stop(cls, sent: object) -> object:
        """Take one text for a list of it."""
        return [sent] if isinstance(sent, str) else sent


def read_body(content: bytes) -> ChatBody:
    """Return a request's body. Raises ApiError with the name of what cannot be used."""
    try:
        sent = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(400, f"The body is no JSON: {error}.") from error
    if not isinstance(sent, dict):
        raise ApiError(400, "The body is no JSON object.")
    sent = keep_understood(sent, WITHOUT_EFFECT, NEUTRAL)
    if isinstance(sent.get("messages"), list):
        sent["messages"] = [
            read_message(message, f"messages[{index}].") if isinstance(message, dict) else message
            for index, message in enumerate(sent["messages"])
        ]
    try:
        body = ChatBody.model_validate(sent)
    except ValidationError as error:
        raise explain_problem(error) from error
    check_together(body, "stream_options" in sent)
    return body


def read_message(sent: dict[str, Any], place: str) -> dict[str, Any]:
    """Return a message with the fields that are understood; an answer may lack its text."""
    kept = keep_understood(sent, MESSAGE_WITHOUT_EFFECT, MESSAGE_NEUTRAL, place)
    return {"content": []} | kept if kept.get("role") == "assistant" else kept


def keep_understood(
    sent: dict[str, Any],
    without_effect: set[str],
    neutral: Mapping[str, Sequence[object]],
    place: str = "",
) -> dict[str, Any]:
    """Return the fields that have a value, without those that change nothing.

    Raises ApiError for one in `neutral` whose value would change something.
    """
    kept = {}
    for name, value in sent.items():
        if name in without_effect or (value is None and name != "messages"):
            continue
        if name not in neutral:
            kept[name] = value
        elif value not in neutral[name]:
            only = " or ".join(map(json.dumps, neutral[name])) or "null"
            raise ApiError(
                400,
                f"{place}{name} is not supported: leave it out, or send {only}.",
                place + name,
                "unsupported_value",
            )
    return kept


def explain_problem(error: ValidationError) -> ApiError:
    """Return the error for the first field that cannot be used."""
    problem = error.errors(include_url=False)[0]
    name = name_field(problem["loc"])
    if problem["type"] == "extra_forbidden":
        return ApiError(400, f"{name} is not supported: leave it out.", name, "unknown_parameter")
    if problem["type"] == "missing":
        return ApiError(400, f"{name} is missing.", name, "missing_required_parameter")
    return ApiError(400, f"{name} cannot be used: {problem['msg']}.", name, "invalid_value")


def name_field(path: tuple[int | str, ...]) -> str:
    """Return a field's path as a client writes it, like messages[0].content[1].text.

    pydantic puts the type of a part behind its index.
    """
    name = ""
    for at, step in enumerate(path):
        if isinstance(step, int):
            name += f"[{step}]"
        elif at < 2 or path[at - 2] != "content":
            name += f".{step}" if name else step
    return name


def check_together(body: ChatBody, has_stream_options: bool) -> None:
    """Raise ApiError for fields that contradict each other."""
    if has_stream_options and not body.stream:
        raise ApiError(
            400, "stream_options are for streamed answers: send stream too.", "stream_options"
        )
    if body.continue_final_message and body.messages[-1].role != "assistant":
        raise ApiError(
            400,
            "continue_final_message needs an assistant's message at the end.",
            "continue_final_message",
        )
    if body.add_generation_prompt == body.continue_final_message:
        raise ApiError(
            400,
            "add_generation_prompt must be the opposite of continue_final_message.",
            "add_generation_prompt",
        )
