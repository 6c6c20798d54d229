"""Serves a page in this process on a free port, as app.py does, and connects API clients."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from gradio_client import Client

from phi3v.settings import Settings
from phi3v.ui import build_page, launch_options
from phi3v.ui.answering import StreamingEngine


@contextmanager
def serve(engine: StreamingEngine, settings: Settings | None = None) -> Iterator[str]:
    """Serve an engine's page and yield its URL."""
    settings = settings or Settings()
    page = build_page(engine, settings)
    _, url, _ = page.launch(
        **launch_options(settings, page),
        server_name="127.0.0.1",
        server_port=find_free_port(),
        prevent_thread_lock=True,
        quiet=True,
    )
    try:
        yield url
    finally:
        page.close(verbose=False)


def connect(url: str, **options: object) -> Client:
    """Return a gradio_client with a long timeout.

    The default is 5 seconds, which twenty clients at once exceed on a busy machine.
    """
    timeout = {"timeout": 120}
    return Client(url, verbose=False, analytics_enabled=False, httpx_kwargs=timeout, **options)


def find_free_port() -> int:
    """Return a free TCP port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_page(url: str, seconds: float) -> httpx.Response:
    """Return the page, once it is served."""
    end = time.monotonic() + seconds
    while True:
        try:
            return httpx.get(url, timeout=5)
        except httpx.TransportError:
            assert time.monotonic() < end, f"no page within {seconds} s"
            time.sleep(0.2)
