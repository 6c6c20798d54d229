"""Takes the README's pictures of the page: `python assets/take_screenshot.py` (needs a Chromium).

One of the Compare tab as assets/screenshot.png, and every tab, wide and narrow, light and dark, in
assets/screenshots: an example of each, answered by the embedded network.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from serving import serve  # noqa: E402

from phi3v import load  # noqa: E402

TARGET = ROOT / "assets" / "screenshot.png"
FOLDER = ROOT / "assets" / "screenshots"
MILLISECONDS = 1000
WIDTHS = {"wide": 1600, "narrow": 390}
# The example that each tab shows.
EXAMPLES = {
    "Describe": "What do you see?",
    "OCR": "What does it say?",
    "Compare": "What are the differences",
}


def main() -> None:
    """Serve the page, talk, take the pictures."""
    FOLDER.mkdir(exist_ok=True)
    with serve(load("embedded")) as url, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for scheme in ("light", "dark"):
            take_tabs(chromium, url, scheme)
        chromium.close()
    shutil.copyfile(FOLDER / "compare-wide-light.png", TARGET)


def take_tabs(chromium: Browser, url: str, scheme: str) -> None:
    """Take every tab in one colour scheme, at each width."""
    page = chromium.new_page(color_scheme=scheme)
    page.set_default_timeout(300 * MILLISECONDS)
    page.goto(url)
    for tab, question in EXAMPLES.items():
        page.set_viewport_size({"width": WIDTHS["wide"], "height": 900})
        show_example(page, tab, question)
        for width, pixels in WIDTHS.items():
            page.set_viewport_size({"width": pixels, "height": 900})
            page.wait_for_timeout(MILLISECONDS)  # until everything has found its place
            save(page, FOLDER / f"{tab.lower()}-{width}-{scheme}.png")
    page.close()


def show_example(page: Page, tab: str, question: str) -> None:
    """Open a tab and let an example be answered."""
    page.get_by_role("tab", name=tab).click()
    page.locator("tr:visible").filter(has_text=question).first.click()
    page.locator(".block.figures:visible").filter(has_text="complete").wait_for()
    if tab == "Compare":
        page.locator(".block.verdict").filter(has_text="Image 2").wait_for()
        page.locator(".changes img").wait_for()
    page.mouse.move(0, 0)


def save(page: Page, path: Path) -> None:
    """Save the whole page as a small PNG: 128 colours are enough for it."""
    image = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    image.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
