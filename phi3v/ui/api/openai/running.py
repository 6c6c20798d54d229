"""Runs the engine's blocking stream in a thread, for a connection that may be slow or leave.

The thread takes chunks as fast as they come, so that a slow client holds no engine; a client that
leaves ends it at the next chunk. Knows connections and chunks; knows nothing of the protocol.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import closing, suppress
from contextvars import copy_context
from dataclasses import replace

from starlette.requests import ClientDisconnect, Request

from phi3v.request import Chunk

# Work that a thread can do for a client; the event is set once the client has left.
Work = Callable[[threading.Event], Generator[Chunk, None, None]]


async def follow(
    request: Request, work: Work, end: Callable[[], None], interval: float
) -> AsyncGenerator[Chunk | None, None]:
    """Yield the chunks of `work` that have text or figures; those that wait together come as one.

    None is yielded after every `interval` seconds without one. `end` is called when the work has
    ended, which may be before its chunks are read. The request's body must have been read. Raises
    what the work raises, and ClientDisconnect once the client has left.
    """
    loop = asyncio.get_running_loop()
    items: list[Chunk | Exception | None] = []
    arrived = asyncio.Event()
    has_left = threading.Event()

    def add(item: Chunk | Exception | None) -> None:
        items.append(item)
        arrived.set()

    def put(item: Chunk | Exception | None) -> None:
        with suppress(RuntimeError):  # the server, and its loop, may have ended
            loop.call_soon_threadsafe(add, item)

    def run() -> None:
        last: Exception | None = None
        try:
            drain(work, has_left, put)
        except Exception as error:  # whatever it is, the client is told
            last = error
        finally:
            end()
            put(last)

    threading.Thread(target=copy_context().run, args=(run,), name="phi3v-v1", daemon=True).start()
    watcher = asyncio.create_task(watch(request, has_left))
    watcher.add_done_callback(lambda _: arrived.set())
    try:
        while True:
            try:
                async with asyncio.timeout(interval):
                    await arrived.wait()
            except TimeoutError:
                yield None
                continue
            if has_left.is_set():
                raise ClientDisconnect
            arrived.clear()
            batch = items.copy()
            items.clear()
            chunks = [item for item in batch if isinstance(item, Chunk)]
            if chunks:
                yield join_chunks(chunks)
            if isinstance(batch[-1], Exception):
                raise batch[-1]
            if batch[-1] is None:
                return
    finally:
        has_left.set()
        watcher.cancel()


def join_chunks(chunks: Sequence[Chunk]) -> Chunk:
    """Return the chunks as one."""
    written = tuple(token for chunk in chunks for token in chunk.written)
    return replace(chunks[-1], text="".join(chunk.text for chunk in chunks), written=written)


def drain(work: Work, has_left: threading.Event, put: Callable[[Chunk], None]) -> None:
    """Pass on the chunks that hold something, until the end or nobody reads."""
    with closing(work(has_left)) as chunks:
        for chunk in chunks:
            if has_left.is_set():
                return
            if chunk.text or chunk.written or chunk.statistics:
                put(chunk)


async def watch(request: Request, has_left: threading.Event) -> None:
    """Wait until the client leaves, and tell."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    has_left.set()
