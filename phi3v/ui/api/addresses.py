"""Web addresses that programs send in place of files are fetched by the app's own guarded client.

Gradio would fetch them itself, however large they are.
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

TakeIn = Callable[[str | Path | None], Awaitable[str | None]]


def guard_addresses(page: gr.Blocks, limit_bytes: int) -> None:
    """Let no part of a page take in a file from the web that is larger than limit_bytes."""
    for block in page.blocks.values():
        take_in = block.async_move_resource_to_block_cache
        block.async_move_resource_to_block_cache = partial(
            take_in_guarded, take_in, block.GRADIO_CACHE, limit_bytes
        )


async def take_in_guarded(
    take_in: TakeIn, cache: str, limit_bytes: int, source: str | Path | None
) -> str | None:
    """Take in a file by its path, or from a public address by fetch_file. Raises gr.Error."""
    address = str(source)
    if not is_http_url_like(address):
        return await take_in(source)
    fetch = partial(fetch_file, limit_bytes=limit_bytes)
    try:
        content, name = await asyncio.to_thread(fetch, address)
    except RequestError as error:
        raise refusal(error.text) from error
    return await take_in(save_bytes_to_cache(content, name, cache))
