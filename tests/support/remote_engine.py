"""Remote engines with short limits for tests, closed when they end, and what they answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support.fake_server import FakeServer

from phi3v.inference.checkpoint_files import find_processor_files
from phi3v.remote import RemoteEngine
from phi3v.remote.asking import Limits
from phi3v.request import Chunk, Request, Sampling, Statistics, Turn

LIMITS = Limits(connect=2, first=20, next=20)


@contextmanager
def connect(*servers: FakeServer, model: str = "auto", **options: Any) -> Iterator[RemoteEngine]:
    """Yield an engine of the servers once they were asked."""
    options = {"limits": LIMITS, "probe_interval": 0.05} | options
    engine = RemoteEngine(
        [server.url for server in servers], model, find_processor_files, **options
    )
    try:
        engine.wait_until_asked()
        yield engine
    finally:
        engine.close()


def ask(question: str, *images: Any, count: int = 64, **options: Any) -> Request:
    """Return a request with one question."""
    return Request((Turn("user", question, images),), Sampling(max_new_tokens=count), **options)


def read(engine: RemoteEngine, request: Request, stop: Any = None) -> tuple[str, Statistics]:
    """Return an answer's text and its statistics."""
    text, last = "", Chunk("")
    for last in engine.stream(request, stop):
        text += last.text
    assert last.statistics is not None
    return text, last.statistics
