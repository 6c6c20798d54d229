"""Fixtures for the page in a real browser, served with a FakeEngine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
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


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> dict[str, BrowserContext]:
    """Browser contexts by language. Their pages share the cache of the page's scripts."""
    return {}


@pytest.fixture
def visit(
    browser: Browser, contexts: dict[str, BrowserContext], url: str, code: str, width: int
) -> Iterator[Callable[[], Page]]:
    """Opens the page for one more user; closes all of them when the test ends."""
    if code not in contexts:
        contexts[code] = browser.new_context(locale=code)
    pages: list[Page] = []

    def open_one() -> Page:
        pages.append(contexts[code].new_page())
        pages[-1].set_viewport_size({"width": width, "height": 1000})
        open_page(pages[-1], url)
        return pages[-1]

    yield open_one
    for page in pages:
        page.close()
    contexts[code].clear_cookies()


@pytest.fixture
def page(visit: Callable[[], Page]) -> Page:
    return visit()


@pytest.fixture
def red(tmp_path: Path) -> Path:
    return draw(tmp_path / "red.png", (40, 30), "red")


@pytest.fixture
def blue(tmp_path: Path) -> Path:
    return draw(tmp_path / "blue.png", (60, 50), "blue")
