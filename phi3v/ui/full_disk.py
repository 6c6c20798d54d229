"""Tells users in words that the disk is full, where a request or an event has failed for it.

Knows the error; knows nothing of what was to be written.
"""

import errno
from collections.abc import Callable
from typing import Any, Final

import gradio as gr
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phi3v.translatable import Text
from phi3v.ui.i18n.languages import language_of, translate
from phi3v.ui.notices import refusal

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
NO_ROOM: Final = Text("There is no room left on the disk: try again when its owner has made some.")
INSUFFICIENT_STORAGE: Final = 507


class FullDisk:
    """ASGI middleware that answers a request for which the disk had no room, such as an upload."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; nothing is said where its response has begun."""
        has_begun = False

        async def watch(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except OSError as error:
            if error.errno not in FULL or has_begun or scope["type"] != "http":
                raise
            text = translate(NO_ROOM, language_of(Request(scope)))
            response = PlainTextResponse(text, INSUFFICIENT_STORAGE)
            await response(scope, receive, send)


def tell_full_disk(page: gr.Blocks) -> None:
    """Make the events of a page say that the disk is full, where Gradio would say "Error"."""
    process: Callable[..., Any] = page.process_api

    async def process_api(*arguments: Any, **named: Any) -> Any:
        try:
            return await process(*arguments, **named)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise refusal(NO_ROOM) from error

    page.process_api = process_api
