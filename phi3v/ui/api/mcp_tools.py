"""Tools of the Model Context Protocol: describe, ocr and compare, with pictures by address.

Gradio turns functions into tools, but cannot pass them lists of files. So the endpoints that take
files are hidden from agents, and these take web addresses and data: URLs, which are fetched and
opened within the limits of an upload. Knows nothing of the page's tabs.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Final

from PIL import Image

from phi3v.documents.download import fetch_file
from phi3v.documents.sources import take_pages
from phi3v.request import RequestError
from phi3v.results.formats import FORMATS, OutputFormat
from phi3v.settings import Settings
from phi3v.tasks import Task, ready_names
from phi3v.ui import words
from phi3v.ui.notices import refusal

MAX_PICTURES: Final = 16
# Tools download first, so they are queued apart: a slow web site must not block the engine's queue.
AGENTS_QUEUE: Final = {"concurrency_id": "agents", "concurrency_limit": 4}


def hide_from_agents(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Remove an endpoint that takes files from the list of tools, and free its name for a tool."""
    endpoint.__name__ += "_files"
    endpoint._mcp_type = "endpoint"  # type: ignore[attr-defined]  # Gradio lists only "tool"
    return endpoint


def make_tool(task: Task, endpoint: Callable[..., Any], settings: Settings) -> Callable[..., str]:
    """Return an endpoint as a tool; its signature and docstring are all that an agent sees."""

    def answer(images: list[str], *arguments: Any) -> str:
        try:
            pictures = open_sent(images, settings.upload_limit_bytes)
        except RequestError as error:
            raise refusal(error.text) from error
        text = ""
        with closing(endpoint(pictures, *arguments)) as pieces:
            for piece in pieces:
                text = piece
        return text

    def tool(
        images: list[str], prompt: str = "", max_new_tokens: int = settings.max_new_tokens
    ) -> str:
        return answer(images, prompt, max_new_tokens)

    def formatting_tool(
        images: list[str],
        prompt: str = "",
        max_new_tokens: int = settings.max_new_tokens,
        output_format: OutputFormat = "text",
    ) -> str:
        return answer(images, prompt, max_new_tokens, output_format)

    built: Callable[..., str] = formatting_tool if task.is_verbatim else tool
    least = "two or more" if task.least_images > 1 else "one or more"
    formats = f"\n        output_format: one of {', '.join(FORMATS)}" if task.is_verbatim else ""
    ready = "" if task.is_verbatim else f" or the name of a ready one ({ready_names(task)});"
    built.__name__ = task.name
    built.__doc__ = f"""{task.hint}

    Args:
        images: {least} pictures, each an http(s) address or a data URL (data:image/png;base64,...);
            also PDFs, of which the first pages are taken, and videos, of which frames are
        prompt: the question, in English;{ready} empty asks "{task.default_prompt}"
        max_new_tokens: longest answer, in tokens{formats}

    Returns:
        the answer
    """
    return built


def open_sent(images: Sequence[str], limit_bytes: int) -> list[Image.Image]:
    """Return the images at web addresses and in data URLs, of at most MAX_PICTURES files.

    Of a PDF or TIFF the first pages are taken, of a video or an animation evenly spread frames.

    Raises RequestError for too many, and for one that cannot be fetched or opened.
    """
    if len(images) > MAX_PICTURES:
        raise RequestError(words.too_many(len(images), MAX_PICTURES))
    opened: list[Image.Image] = []
    for number, image in enumerate(images, 1):
        if image.startswith("data:"):
            name: str = words.picture_name(number)
            content = decode_data(image, name, limit_bytes)
        else:
            content, name = fetch_file(image, limit_bytes=limit_bytes)
        opened += (page.open() for page in take_pages(content, name).pages)
    return opened


def decode_data(url: str, name: str, limit_bytes: int) -> bytes:
    """Return the content of a base64 data URL, up to limit_bytes decoded. Raises RequestError."""
    kind, _, content = url.partition(",")
    size = len(content) * 3 // 4
    if size > limit_bytes:
        raise RequestError(words.too_large(name, size, limit_bytes))
    try:
        data = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise RequestError(words.bad_data_url(name)) from error
    if not kind.endswith(";base64"):
        raise RequestError(words.bad_data_url(name))
    return data
