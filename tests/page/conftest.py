"""Fixtures for the page in a real browser, served with a FakeEngine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from support.browsing import draw, open_page, start_browser
from support.fake_engine import FakeEngine
from support.serving import serve

from phi3v.settings import Settings


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; only for one module, because asyncio.run fails while it runs."""
    yield from start_browser()


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def url(engine: FakeEngine) -> Iterator[str]:
    """The URL of the page with this module's engine; uploads are limited to 1 MB."""
    with serve(engine, Settings(upload_limit=1)) as address:
        yield address


@pytest.fixture
def code() -> str:
    """The language of the page; see browsing.EVERYWHERE."""
    return "en"


@pytest.fixture
def width() -> int:
    return 1400


@pytest.fixture
def visit(browser: Browser, url: str, code: str, width: int) -> Iterator[Callable[[], Page]]:
    """A function that opens the page for another user; all are closed after the test.

    Each has a context of its own: pages of one context share six connections, and each page holds
    two of them open.
    """
    pages: list[Page] = []

    def open_one() -> Page:
        view = {"width": width, "height": 1000}
        pages.append(browser.new_page(viewport=view, locale=code))
        open_page(pages[-1], url)
        return pages[-1]

    yield open_one
    for page in pages:
        page.close()


@pytest.fixture
def page(visit: Callable[[], Page]) -> Page:
    return visit()


@pytest.fixture
def red(tmp_path: Path) -> Path:
    return draw(tmp_path / "red.png", (40, 30), "red")


@pytest.fixture
def blue(tmp_path: Path) -> Path:
    return draw(tmp_path / "blue.png", (60, 50), "blue")
