"""The page can be used by everyone: axe-core finds nothing serious, narrow, wide, light or dark."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import SECONDS, ask, button, draw, figures, messages, open_page, upload
from fake_engine import MeasuredEngine
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def engine() -> MeasuredEngine:
    return MeasuredEngine()


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Two that are nearly the same."""
    return [draw(tmp_path / f"{dot}.png", (90, 60), dot) for dot in ("red", "blue")]


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[390, 1600])
def page(request: pytest.FixtureRequest, browser: Browser, url: str, scheme: str) -> Iterator[Page]:
    size = {"width": request.param, "height": 900}
    one = browser.new_page(viewport=size, color_scheme=scheme)
    open_page(one, url)
    yield one
    one.close()


def find_faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical: its rule, and where; what sticks out sideways."""
    folded = page.locator("button.label-wrap:not(.open):visible")
    while folded.count():
        folded.first.click()
    page.wait_for_timeout(SECONDS)  # colours fade in
    assert page.viewport_size is not None
    width = page.evaluate("document.documentElement.scrollWidth")
    wide = [f"{width} pixels wide"] if width > page.viewport_size["width"] else []
    return wide + [
        f"{fault['id']}: {node['html'][:300]} {node['failureSummary'][:300]}"
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]


def converse(page: Page, pictures: list[Path]) -> None:
    upload(page, *pictures)
    ask(page, "Which?")
    expect(messages(page)).to_have_count(2)
    expect(figures(page)).to_contain_text("complete")


def describe(page: Page, pictures: list[Path]) -> None:
    converse(page, pictures)
    page.get_by_label("Show the crops").locator("visible=true").check()
    expect(page.locator(".crops:visible img")).to_have_count(2)


def talk_about_text(page: Page, pictures: list[Path]) -> None:
    page.get_by_role("tab", name="OCR").click()
    page.get_by_role("tab", name="Conversation").click()
    converse(page, pictures)


def compare(page: Page, pictures: list[Path]) -> None:
    page.get_by_role("tab", name="Compare").click()
    converse(page, pictures)
    expect(page.locator(".block.verdict")).to_contain_text("Nearly the same")
    expect(page.locator(".changes img")).to_be_visible()


@pytest.mark.parametrize("use", [describe, talk_about_text, compare])
def test_axe_finds_nothing_serious_where_people_converse(
    page: Page, pictures: list[Path], use: Callable[[Page, list[Path]], None]
) -> None:
    empty = find_faults(page)
    use(page, pictures)
    assert empty + find_faults(page) == []


def test_axe_finds_nothing_serious_where_documents_are_read(
    page: Page, pictures: list[Path]
) -> None:
    page.get_by_role("tab", name="OCR").click()
    faults = find_faults(page)
    box = page.locator(".block:visible", has_text="Pictures and PDFs").locator("input[type=file]")
    box.first.set_input_files(pictures)
    expect(page.locator(".file-preview:visible tr.file")).to_have_count(2)
    page.get_by_label("Instruction").fill("say STOP HERE please")
    button(page, "Read").click()
    expect(page.locator(".reading-progress.prose")).to_contain_text("2 of 2 pages read")
    for tab in ("Result", "Raw", "Unsure words"):
        page.get_by_role("tab", name=tab, exact=True).click()
        faults += find_faults(page)
    assert faults == []
