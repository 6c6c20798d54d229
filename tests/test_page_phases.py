"""What a person sees while an answer is awaited, and that Stop ends it whatever is going on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsing import (
    SECONDS,
    ask,
    button,
    figures,
    messages,
    open_page,
    question,
    start_browser,
    upload,
)
from fake_engine import FakeEngine
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from serving import serve

pytestmark = pytest.mark.browser
browser = pytest.fixture(scope="module")(start_browser)


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def url(engine: FakeEngine) -> Iterator[str]:
    with serve(engine) as address:
        yield address


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Callable[[], Page]]:
    """Opens the page for one more user; all leave when the test ends."""
    pages: list[Page] = []

    def open_one() -> Page:
        pages.append(browser.new_page(viewport={"width": 1400, "height": 900}))
        open_page(pages[-1], url)
        return pages[-1]

    yield open_one
    for page in pages:
        page.close()


@pytest.fixture
def red(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


@pytest.mark.parametrize(
    ("phase", "shown"),
    [
        ("preparing", "Opening image 2 of 3"),
        ("encoding", "Reading image 2 of 3"),
        ("prefill", "Reading the question"),
    ],
)
def test_each_phase_is_shown_and_stop_ends_it(
    visit: Callable[[], Page], engine: FakeEngine, red: Path, phase: str, shown: str
) -> None:
    page = visit()
    upload(page, red)
    ask(page, f"stuck {phase}")
    expect(figures(page)).to_contain_text(shown)
    button(page, "Stop").click()
    assert engine.ended.wait(5)
    expect(question(page)).to_have_value(f"stuck {phase}")
    expect(messages(page)).to_have_count(0)
    ask(page, "And now?")
    expect(messages(page).last).to_contain_text("Turn 1: And now?")


def test_everybody_sees_the_own_place_and_moves_up(
    visit: Callable[[], Page], engine: FakeEngine, red: Path
) -> None:
    first, second, third = visit(), visit(), visit()
    for page, text in ((first, "slow please"), (second, "never asked"), (third, "Mine?")):
        upload(page, red)
        ask(page, text)
        page.wait_for_timeout(SECONDS)
    expect(messages(first).last).to_contain_text("word1")
    expect(figures(second)).to_contain_text("number 1 of 2 in line")
    expect(figures(third)).to_contain_text("number 2 of 2 in line")
    button(second, "Stop").click()
    expect(question(second)).to_have_value("never asked")
    expect(figures(third)).to_contain_text("number 1 of 1 in line")
    button(first, "Stop").click()
    expect(messages(third).last).to_contain_text("Turn 1: Mine?")
    assert [request.turns[-1].text for request in engine.requests[-2:]] == ["slow please", "Mine?"]
