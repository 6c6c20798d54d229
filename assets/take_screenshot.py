"""Takes the README's screenshots: `python assets/take_screenshot.py` (needs a Chromium).

Writes the Compare tab as assets/screenshot.png, and to assets/screenshots every tab, left to right
and right to left (English, Hebrew), wide and narrow, light and dark, with the embedded checkpoint's
answers.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.browsing import find_chromium  # noqa: E402
from support.serving import serve  # noqa: E402

from phi3v import load  # noqa: E402
from phi3v.tasks import EXAMPLES, TASKS  # noqa: E402
from phi3v.ui import words  # noqa: E402
from phi3v.ui.i18n.languages import Language, find_languages, translate  # noqa: E402
from phi3v.ui.ocr import words as ocr_words  # noqa: E402

TARGET = ROOT / "assets" / "screenshot.png"
FOLDER = ROOT / "assets" / "screenshots"
MILLISECONDS = 1000
WIDTHS = {"wide": 1600, "narrow": 390}
LANGUAGES = ("en", "he")
SCHEMES = ("light", "dark")
DESCRIBED, COMPARED = "What do you see?", "What are the differences"
PAGES = [EXAMPLES / "receipt.png", EXAMPLES / "poster.png"]


def main() -> None:
    """Take the committed screenshots."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox"]
        )
        take_all(chromium, FOLDER)
        chromium.close()
    shutil.copyfile(FOLDER / "compare-wide-light-en.png", TARGET)


def take_all(chromium: Browser, folder: Path) -> None:
    """Serve the page, and take every tab in every language and colour scheme."""
    with serve(load("embedded")) as url:
        for language in map(find_languages().get, LANGUAGES):
            assert language is not None
            page = chromium.new_page(locale=language.code)
            page.set_default_timeout(300 * MILLISECONDS)
            expect.set_options(timeout=300 * MILLISECONDS)
            page.goto(url)
            take_tabs(page, language, folder)
            page.close()


def take_tabs(page: Page, language: Language, folder: Path) -> None:
    """Take every tab at each width and in each colour scheme."""
    for task in TASKS:
        page.set_viewport_size({"width": WIDTHS["wide"], "height": 900})
        page.get_by_role("tab", name=translate(task.title, language), exact=True).click()
        fill_tab(page, task.name, language)
        page.mouse.move(0, 0)
        for width, pixels in WIDTHS.items():
            page.set_viewport_size({"width": pixels, "height": 900})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                page.wait_for_timeout(MILLISECONDS / 2)  # until layout and colours have settled
                save(page, folder / f"{task.name}-{width}-{scheme}-{language.code}.png")


def fill_tab(page: Page, name: str, language: Language) -> None:
    """Run an example in the open tab, and wait for its results."""
    if name == "ocr":
        page.locator(".block:visible input[type=file]").first.set_input_files(PAGES)
        expect(page.locator(".file-preview:visible tr.file")).to_have_count(len(PAGES))
        page.locator("button:visible", has_text=translate(ocr_words.READ, language)).first.click()
        done = translate(ocr_words.all_read(len(PAGES), 0), language)
        expect(page.locator(".prose.reading-progress")).to_contain_text(done)
        return
    asked = DESCRIBED if name == "describe" else COMPARED
    page.locator("tr:visible").filter(has_text=asked).first.click()
    complete = translate(words.REASONS["end"], language)
    page.locator(".block.figures:visible").filter(has_text=complete).wait_for()
    if name == "compare":
        page.locator(".block.verdict").filter(has_text="2").wait_for()
        page.locator(".changes img").wait_for()


def save(page: Page, path: Path) -> None:
    """Save the whole page as a small PNG of 256 colours, rare ones included."""
    image = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    few = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


if __name__ == "__main__":
    main()
