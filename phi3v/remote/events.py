"""Server-sent events of a chat completion, from bytes to JSON objects.

Splits at line feeds only: httpx's own lines also end at U+2028 and U+0085, which answers contain.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final

# An event has some tokens; with logprobs a few hundred bytes each.
MAX_EVENT_BYTES: Final = 2**20

DONE: Final = b"[DONE]"


class BrokenStreamError(Exception):
    """The stream ended, or sent something else, before the answer was whole."""


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[dict[str, Any] | None, None]:
    """Yield each event's JSON object, and None for each comment, until `[DONE]` or the end.

    Raises BrokenStreamError for half an event, or one that is no JSON object.
    """
    data: list[bytes] = []
    async with aclosing(read_lines(chunks)) as lines:
        async for line in lines:
            if line.startswith(b"data:"):
                data.append(line.removeprefix(b"data:").removeprefix(b" "))
            elif line.startswith(b":"):
                yield None
            elif not line and data:
                content, data = b"\n".join(data), []
                if content == DONE:
                    return
                yield parse_event(content)
    if data and data != [DONE]:
        raise BrokenStreamError("it ended within an event")


async def read_lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a byte stream without their ends, the last one even if it is cut."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        if len(rest) > MAX_EVENT_BYTES:
            raise BrokenStreamError("it sent an event without an end")
    if rest:
        yield rest


def parse_event(content: bytes) -> dict[str, Any]:
    """Return an event's JSON object. Raises BrokenStreamError if it is none."""
    try:
        event = json.loads(content)
    except ValueError as error:
        raise BrokenStreamError("it sent an event that is no JSON") from error
    if not isinstance(event, dict):
        raise BrokenStreamError("it sent an event that is no object")
    return event
