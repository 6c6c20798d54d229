"""A PDF with a bad page in a browser: read page by page, the bad one told, the others saved."""

import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import button, open_page, start_browser
from fake_engine import FakeEngine
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from serving import serve

from phi3v.request import Chunk, Request, Statistics

pytestmark = pytest.mark.browser


class PagedEngine(FakeEngine):
    """Reads the next page when it is let, and numbers what it reads."""

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
def browser() -> Iterator[Browser]:
    yield from start_browser()


@pytest.fixture
def engine() -> FakeEngine:
    return PagedEngine()


@pytest.fixture
def url(engine: FakeEngine) -> Iterator[str]:
    with serve(engine) as address:
        yield address


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
    """The results that there are, in the opened list."""
    page.get_by_label("Results", exact=True).click()
    return page.get_by_role("option")


@pytest.mark.parametrize("width", [390, 1600])
def test_the_pages_of_a_pdf_come_one_by_one_without_the_bad_one(
    browser: Browser, engine: PagedEngine, url: str, bill: Path, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 1000})
    open_page(page, url)
    page.get_by_role("tab", name="OCR").click()
    box = page.locator(".block:visible", has_text="Pictures and PDFs").locator("input[type=file]")
    box.first.set_input_files(bill)
    expect(page.locator(".file-preview:visible tr.file")).to_have_count(1)
    button(page, "Read").click()
    progress = page.locator(".prose.reading-progress")
    shown = page.locator(".result textarea:visible")
    expect(progress).to_contain_text("Page 1 of 5: bill.pdf, page 1")
    engine.permits.release()
    expect(progress).to_contain_text("Page 2 of 5: bill.pdf, page 2")
    expect(shown).to_have_value("Text 1")
    engine.permits.release()
    expect(progress).to_contain_text("Page 4 of 5: bill.pdf, page 4")
    names = ["1. bill.pdf, page 1", "2. bill.pdf, page 2", "3. bill.pdf, page 3 (not read)"]
    expect(list_results(page)).to_contain_text(names)
    page.get_by_role("option", name="page 3").click()
    expect(page.get_by_text("bill.pdf, page 3 cannot be drawn")).to_be_visible()
    expect(shown).to_have_value("")
    engine.permits.release(2)
    expect(progress).to_contain_text("4 of 5 pages read")
    expect(list_results(page)).to_contain_text(
        [*names, "4. bill.pdf, page 4", "5. bill.pdf, page 5"]
    )
    page.get_by_role("option", name="page 5").click()
    expect(shown).to_have_value("Text 4")
    with page.expect_download() as saved:
        button(page, "Save all pages (zip)").click()
    with zipfile.ZipFile(saved.value.path()) as archive:
        read = {name: archive.read(name).decode() for name in archive.namelist()}
    assert read == {
        f"{number:03}-bill.pdf-page-{number}.txt": f"Text {order}"
        for order, number in enumerate((1, 2, 4, 5), 1)
    }
    page.close()
