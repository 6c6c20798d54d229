"""Tools of the Model Context Protocol: describe, ocr and compare, with pictures by address.

Gradio turns functions into tools, but cannot pass them lists of files. So the endpoints that take
files are hidden from agents, and these take web addresses and data: URLs, which are fetched and
opened within the limits of an upload. Knows nothing of the page's tabs.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from gradio_client import Client

from phi3v.documents.download import fetch_file
from phi3v.documents.images import measure_image
from phi3v.documents.sources import take_pages
from phi3v.request import RequestError
from phi3v.results.formats import FORMATS, OutputFormat
from phi3v.settings import Settings
from phi3v.tasks import Task, ready_names
from phi3v.ui import words
from phi3v.ui.api import words as api_words
from phi3v.ui.api.data_urls import read_data_url
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
        text = ""
        # Files, because the pictures of all waiting calls would not fit the memory.
        with TemporaryDirectory(prefix="phi3v-tool-") as folder:
            try:
                pictures = save_sent(images, settings.upload_limit_bytes, Path(folder))
            except RequestError as error:
                raise refusal(error.text) from error
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


def save_sent(images: Sequence[str], limit_bytes: int, folder: Path) -> list[str]:
    """Write what is at web addresses and in data URLs to files, and return their paths.


    Raises RequestError for more than MAX_PICTURES, and for one that cannot be fetched or measured.
    """
    if len(images) > MAX_PICTURES:
        raise RequestError(api_words.too_many(len(images), MAX_PICTURES))
    paths = []
    for number, image in enumerate(images, 1):
        name: str = words.picture_name(number)
        if image.startswith("data:"):
            content = read_data_url(image, name, limit_bytes)
        else:
            content, name = fetch_file(image, limit_bytes=limit_bytes)
        path = folder / str(number) / name
        path.parent.mkdir()
        path.write_bytes(content)
        if take_pages(path, name).is_picture:
            measure_image(path, name)
        paths.append(str(path))
    return paths


def authorize_tools(server: Any, authorization: str) -> None:
    """Let the tools of Gradio's MCP server call the app itself where it asks for a login.

    A queued tool calls its endpoint over HTTP, with a client that Gradio makes without a login.
    """
    if server is None or server._client_instance is not None:
        return

    def connect() -> Client:
        if server._client_instance is None:
            server._client_instance = Client(
                server.local_url,
                headers={"x-gradio-user": "mcp", "authorization": authorization},
                download_files=False,
                verbose=False,
                analytics_enabled=False,
                _skip_components=False,
            )
        return server._client_instance

    server._get_or_create_client = connect
