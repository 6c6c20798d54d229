"""From a request to the body of a chat completion: messages, pictures as data URLs, options.

Knows the API's fields; sends nothing.
"""

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from PIL import Image

from phi3v.conversation.checkpoint_processor import CheckpointProcessor
from phi3v.conversation.prompt import Prompt, build_prompt, disarm_markup
from phi3v.documents.images import open_image
from phi3v.model.crops import fit_within_crops
from phi3v.model.padding import resize_and_pad
from phi3v.request import Request

# Fields that not every server takes; without them an answer still comes.
CROPS: Final = "mm_processor_kwargs"
OPTIONAL_FIELDS: Final = frozenset(
    {CROPS, "add_special_tokens", "stop_token_ids", "stream_options", "logprobs", "seed"}
)


@dataclass(frozen=True)
class Draft:
    """A request ready to be sent; pictures are data URLs in order.

    sends_crops is False for servers that choose the number of crops themselves: then pictures have
    their own size, else that of their crops.
    """

    request: Request
    prompt: Prompt
    pictures: tuple[str, ...]
    sends_crops: bool


def draft_request(
    request: Request, processor: CheckpointProcessor, context_length: int, sends_crops: bool = True
) -> Draft:
    """Render and check a request as a local engine does. Raises RequestError as build_prompt."""
    prompt = build_prompt(request, processor, context_length)
    num_crops = prompt.num_crops if sends_crops else None
    sources = (image for turn in request.turns for image in turn.images)
    pictures = tuple(encode_picture(open_image(source), num_crops) for source in sources)
    return Draft(request, prompt, pictures, sends_crops)


def encode_picture(image: Image.Image, num_crops: int | None = None) -> str:
    """Return a picture as a data URL of its pixels, without loss.

    With num_crops it is resized and padded for them here: the server's own preprocessing leaves
    such a picture as it is, so its crops are the same bit for bit and less has to be sent.
    """
    image = image.convert("RGB")
    if num_crops is not None:
        padded = resize_and_pad(image, num_crops)
        if fit_within_crops(*padded.size, num_crops) == padded.size:
            image = padded
    content = BytesIO()
    image.save(content, "png", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def write_body(
    draft: Draft, processor: CheckpointProcessor, model: str, refused: frozenset[str]
) -> dict[str, Any]:
    """Return the body of the chat completion, without the fields that the server refused."""
    request = draft.request
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "messages": write_messages(draft, processor),
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "stream": True,
    }
    if sampling.temperature > 0:
        body["top_p"] = sampling.top_p
        if sampling.seed is not None:
            body["seed"] = sampling.seed
    if request.is_continued:
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    optional: dict[str, Any] = {
        "add_special_tokens": True,  # else vLLM leaves out the BOS of a prompt without pictures
        "stop_token_ids": processor.stop_token_ids(),
        "stream_options": {"include_usage": True},
    }
    if request.wants_probabilities:
        optional["logprobs"] = True
    if draft.pictures and draft.sends_crops:
        optional[CROPS] = {"num_crops": draft.prompt.num_crops}
    body |= optional
    return {name: value for name, value in body.items() if name not in refused}


def write_messages(draft: Draft, processor: CheckpointProcessor) -> list[dict[str, Any]]:
    """Return the turns as messages, each with its pictures before its text.

    Markup typed by users is disarmed, because servers would take it for special tokens.
    """
    pictures = iter(draft.pictures)
    messages: list[dict[str, Any]] = []
    for turn in draft.request.turns:
        text = disarm_markup(turn.text, processor)
        content: Any = text
        if turn.images:
            parts = [
                {"type": "image_url", "image_url": {"url": next(pictures)}} for _ in turn.images
            ]
            content = [*parts, {"type": "text", "text": text}]
        messages.append({"role": turn.role, "content": content})
    return messages
