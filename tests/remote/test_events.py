"""Server-sent events: whole ones in any cutting, and streams that are broken."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from phi3v.remote.events import BrokenStreamError, read_events

STREAM = (
    b'data: {"a": "one"}\r\n\r\n: ping\n\ndata:{"a": "tw\xc3\xb6"}\n\nevent: x\n'
    b'data: {"a":\ndata: "\xe2\x80\xa8\xc2\x85"}\n\ndata: [DONE]\n\ndata: {"a": "late"}\n\n'
)


def read(*chunks: bytes) -> list[object]:
    async def send() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def collect() -> list[object]:
        return [event async for event in read_events(send())]

    return asyncio.run(collect())


def test_events_are_read_however_the_bytes_are_cut() -> None:
    expected = [{"a": "one"}, None, {"a": "twö"}, {"a": "\u2028\x85"}]
    assert read(STREAM) == expected
    assert read(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == expected


def test_the_stream_may_end_without_done() -> None:
    assert read(b'data: {"a": 1}\n\n') == [{"a": 1}]


@pytest.mark.parametrize(
    "content",
    [
        b'data: {"a": 1}',
        b'data: {"a": 1}\n',
        b'data: {"a"',
        b"data: {broken\n\n",
        b"data: [1]\n\n",
        b"data: " + b"x" * 2**21,
    ],
)
def test_a_broken_stream_is_an_error(content: bytes) -> None:
    with pytest.raises(BrokenStreamError):
        read(b"data: " + json.dumps({"a": 0}).encode() + b"\n\n" + content)
