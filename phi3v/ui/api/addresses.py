"""Fetches web addresses that API clients send in place of files with phi3v.documents.download.

Gradio would fetch them itself, however large they are. Knows no particular endpoint.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio_client.utils import is_http_url_like

from phi3v.documents.download import fetch_file
from phi3v.request import RequestError
from phi3v.ui.notices import refusal

MoveToCache = Callable[[str | Path | None], Awaitable[str | None]]


def guard_addresses(page: gr.Blocks, limit_bytes: int) -> None:
    """Make every component of a page refuse web files larger than limit_bytes."""
    for block in page.blocks.values():
        move = block.async_move_resource_to_block_cache
        block.async_move_resource_to_block_cache = partial(
            move_guarded, move, block.GRADIO_CACHE, limit_bytes
        )


async def move_guarded(
    move: MoveToCache, cache: str, limit_bytes: int, source: str | Path | None
) -> str | None:
    """Return the cached path of a file, or of a public address downloaded with fetch_file.

    Raises gr.Error for an address that is refused.
    """
    address = str(source)
    if not is_http_url_like(address):
        return await move(source)
    fetch = partial(fetch_file, limit_bytes=limit_bytes)
    try:
        content, name = await asyncio.to_thread(fetch, address)
    except RequestError as error:
        raise refusal(error.text) from error
    return await move(save_bytes_to_cache(content, name, cache))
