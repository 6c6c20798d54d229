"""Documents in a real browser: many files, bad pages, continuation, saving."""

import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from support.browsing import button, download, set_slider, unfold
from support.fake_engine import FakeEngine, MeasuredEngine

from phi3v.ui import words

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return MeasuredEngine()


@pytest.fixture
def page(page: Page) -> Page:
    page.get_by_role("tab", name="OCR").click()
    expect(button(page, "Read")).to_be_visible()
    return page


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A PDF of five pages of which the third is damaged, and a picture."""
    pages = [Image.new("RGB", (40, 56), "white") for _ in range(5)]
    path = tmp_path / "bill.pdf"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    content = path.read_bytes()
    third = [at for at in range(len(content)) if content.startswith(b"/Type /Page\n", at)][2]
    path.write_bytes(content[:third] + b"/Type /Pxge\n" + content[third + 12 :])
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    return [path, tmp_path / "red.png"]


def read(page: Page, files: list[Path], instruction: str) -> None:
    box = page.locator(".block:visible", has_text="Pictures and PDFs").locator("input[type=file]")
    box.first.set_input_files(files)
    expect(page.locator(".file-preview:visible tr.file")).to_have_count(len(files))
    page.get_by_label("Instruction").fill(instruction)
    button(page, "Read").click()


def result(page: Page) -> Locator:
    return page.locator(".result textarea:visible")


def test_a_document_is_read_page_by_page_and_saved(
    page: Page, files: list[Path], tmp_path: Path
) -> None:
    read(page, files, "say STOP HERE please")
    expect(page.locator(".prose.reading-progress")).to_contain_text("5 of 6 pages read")
    expect(result(page)).to_have_value("STOP HERE please")
    page.get_by_role("tab", name="Unsure words").click()
    expect(page.get_by_text("1 of 3 words are marked.")).to_be_visible()
    saved = download(page, button(page, "Save all pages (zip)"), tmp_path / "all.zip")
    with zipfile.ZipFile(saved) as archive:
        assert archive.namelist()[-2:] == ["006-red.png.txt", "notes.txt"]


def test_a_cut_page_is_continued(page: Page, files: list[Path]) -> None:
    unfold(page, "Settings")
    set_slider(page, words.MAX_NEW_TOKENS, 2)
    read(page, files[1:], "say one two three")
    expect(result(page)).to_have_value("one two")
    expect(page.get_by_text("The text is cut")).to_be_visible()
    button(page, "Continue").click()
    expect(result(page)).to_have_value("one two three")
    expect(button(page, "Continue")).to_be_disabled()


def test_a_stopped_reading_keeps_its_results(
    page: Page, files: list[Path], engine: FakeEngine
) -> None:
    read(page, files, "slow please")
    expect(page.locator(".live textarea:visible")).to_have_value(re.compile("word2"))
    button(page, "Stop").click()
    assert engine.ended.wait(5)
    expect(page.locator(".prose.reading-progress")).to_contain_text("Stopped after 1 of 6 pages")
    expect(page.get_by_text("Stopped before its end")).to_be_visible()
    expect(button(page, "Read")).to_be_enabled()


def test_reading_without_files_is_refused(page: Page) -> None:
    button(page, "Read").click()
    expect(page.get_by_text("add pictures or PDFs first").first).to_be_visible()


@pytest.mark.parametrize("width", [390, 1600])
def test_nothing_overflows_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
