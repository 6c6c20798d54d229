"""axe-core finds no serious accessibility violation in the page.

Checked narrow and wide, light and dark, left-to-right and right-to-left.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from support.browsing import (
    SECONDS,
    ask,
    button,
    draw,
    messages,
    open_page,
    open_tab,
    said,
    upload,
    wait_for_answer,
)
from support.fake_engine import MeasuredEngine

from phi3v.ui import words
from phi3v.ui.compare import words as compare_words
from phi3v.ui.ocr import words as ocr_words

pytestmark = pytest.mark.browser

SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def engine() -> MeasuredEngine:
    return MeasuredEngine()


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Two images that are nearly the same."""
    return [draw(tmp_path / f"{dot}.png", (90, 60), dot) for dot in ("red", "blue")]


# Contrast depends on the scheme, names on the language, overflow on width and direction.
SEEN = [
    ("en", "light", 1600),
    ("en", "dark", 390),
    ("he", "dark", 1600),
    ("fa", "light", 390),
]
# Colours that are still fading in would be measured halfway.
STILL = "*, ::before, ::after { transition: none !important; animation: none !important; }"


@pytest.fixture(params=SEEN, ids=lambda seen: "-".join(map(str, seen)))
def page(request: pytest.FixtureRequest, browser: Browser, url: str) -> Iterator[Page]:
    code, scheme, width = request.param
    size = {"width": width, "height": 900}
    one = browser.new_page(viewport=size, color_scheme=scheme, locale=code)
    open_page(one, url)
    yield one
    one.close()


def find_faults(page: Page) -> list[str]:
    """Return serious and critical violations by rule and element, and overflow to the side."""
    folded = page.locator("button.label-wrap:not(.open):visible")
    while folded.count():
        folded.first.click()
    page.add_style_tag(content=STILL)
    page.wait_for_timeout(SECONDS / 10)
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
    wait_for_answer(page)


def describe(page: Page, pictures: list[Path]) -> None:
    converse(page, pictures)
    page.get_by_label(said(page, words.SHOW_CROPS)).locator("visible=true").check()
    expect(page.locator(".crops:visible img")).to_have_count(2)


def talk_about_text(page: Page, pictures: list[Path]) -> None:
    open_tab(page, "OCR")
    open_tab(page, words.CHAT)
    converse(page, pictures)


def compare(page: Page, pictures: list[Path]) -> None:
    open_tab(page, "Compare")
    converse(page, pictures)
    _, nearly, _ = said(page, compare_words.VERDICTS["nearly the same"]).split("**")
    expect(page.locator(".block.verdict")).to_contain_text(nearly)
    expect(page.locator(".changes img")).to_be_visible()


def test_axe_finds_nothing_serious_in_a_chat(page: Page, pictures: list[Path]) -> None:
    faults = find_faults(page)
    for use in (describe, talk_about_text, compare):
        use(page, pictures)
        faults += find_faults(page)
    assert faults == []


def test_axe_finds_nothing_serious_in_documents(page: Page, pictures: list[Path]) -> None:
    open_tab(page, "OCR")
    faults = find_faults(page)
    box = page.locator(".block:visible", has_text=said(page, ocr_words.FILES))
    box.locator("input[type=file]").first.set_input_files(pictures)
    expect(page.locator(".file-preview:visible tr.file")).to_have_count(2)
    page.get_by_label(said(page, ocr_words.INSTRUCTION)).fill("say STOP HERE please")
    button(page, ocr_words.READ).click()
    done = said(page, ocr_words.all_read(2, 0))
    expect(page.locator(".reading-progress.prose")).to_contain_text(done)
    for tab in (ocr_words.RESULT, ocr_words.RAW, ocr_words.UNSURE_WORDS):
        open_tab(page, tab)
        faults += find_faults(page)
    assert faults == []
