"""A PDF with a bad page in a real browser: the bad one is reported, the others read and saved."""

import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from support.browsing import EVERYWHERE, button, download, open_tab, said
from support.fake_engine import FakeEngine

from phi3v.request import Chunk, Request, Statistics
from phi3v.translatable import Text
from phi3v.ui.ocr import words as ocr_words

pytestmark = pytest.mark.browser


class PagedEngine(FakeEngine):
    """A FakeEngine that answers a page per released permit, with the request's number."""

    def __init__(self) -> None:
        super().__init__()
        self.permits = threading.Semaphore(0)

    def write(self, request: Request) -> Iterator[Chunk]:
        number = len(self.requests)
        while not self.permits.acquire(timeout=0.05):
            yield Chunk("")
        yield Chunk(f"Text {number}")
        yield Chunk("", Statistics(100, 64, 2, 0.25, 40.0, "end"))


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return PagedEngine()


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    """A PDF of five pages of which the third is damaged."""
    pages = [Image.new("RGB", (40, 56), "white") for _ in range(5)]
    path = tmp_path / "bill.pdf"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    content = path.read_bytes()
    third = [at for at in range(len(content)) if content.startswith(b"/Type /Page\n", at)][2]
    path.write_bytes(content[:third] + b"/Type /Pxge\n" + content[third + 12 :])
    return path


def list_results(page: Page) -> Locator:
    """Open the list of results and return its entries."""
    page.get_by_label(said(page, ocr_words.RESULTS), exact=True).click()
    return page.get_by_role("option")


@EVERYWHERE
def test_the_pages_of_a_pdf_appear_one_by_one_without_the_bad_one(
    page: Page, engine: PagedEngine, bill: Path, tmp_path: Path
) -> None:
    engine.requests.clear()
    names = [Text("{name}, page {number}", name="bill.pdf", number=n) for n in range(1, 6)]
    open_tab(page, "OCR")
    box = page.locator(".block:visible", has_text=said(page, ocr_words.FILES))
    box.locator("input[type=file]").first.set_input_files(bill)
    expect(page.locator(".file-preview:visible tr.file")).to_have_count(1)
    button(page, ocr_words.READ).click()
    progress = page.locator(".prose.reading-progress")
    shown = page.locator(".result textarea:visible")
    expect(progress).to_contain_text(said(page, ocr_words.page_progress(1, 5, names[0])))
    engine.permits.release()
    expect(progress).to_contain_text(said(page, ocr_words.page_progress(2, 5, names[1])))
    expect(shown).to_have_value("Text 1")
    engine.permits.release()
    expect(progress).to_contain_text(said(page, ocr_words.page_progress(4, 5, names[3])))
    marks = ["", "", ocr_words.NOT_READ]
    first = [
        said(page, ocr_words.result_name(number, name, mark))
        for number, (name, mark) in enumerate(zip(names, marks, strict=False), 1)
    ]
    expect(list_results(page)).to_contain_text(first)
    page.get_by_role("option", name=first[2]).click()
    unreadable = page.locator(".block.note").filter(has_text=said(page, names[2]))
    expect(unreadable).to_be_visible()
    expect(shown).to_have_value("")
    engine.permits.release(2)
    expect(progress).to_contain_text(said(page, ocr_words.all_read(5, 1)))
    last = [said(page, ocr_words.result_name(number, names[number - 1], "")) for number in (4, 5)]
    expect(list_results(page)).to_contain_text([*first, *last])
    page.get_by_role("option", name=last[1]).click()
    expect(shown).to_have_value("Text 4")
    saved = download(page, button(page, ocr_words.SAVE_ALL), tmp_path / "all.zip")
    with zipfile.ZipFile(saved) as archive:
        read = {name: archive.read(name).decode() for name in archive.namelist()}
    assert "bill.pdf" in read.pop("notes.txt")  # what was not read
    assert read == {
        f"{number:03}-bill.pdf-page-{number}.txt": f"Text {order}"
        for order, number in enumerate((1, 2, 4, 5), 1)
    }
