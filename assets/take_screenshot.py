"""Takes the README's picture of the page: `python assets/take_screenshot.py` (needs a Chromium).

An example of two pictures, answered by the embedded network.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from serving import serve  # noqa: E402

from phi3v import load  # noqa: E402

TARGET = ROOT / "assets" / "screenshot.png"
MILLISECONDS = 1000


def main() -> None:
    """Serve the page, talk, take the picture."""
    with serve(load("embedded")) as url, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60 * MILLISECONDS)
        page.goto(url)
        page.get_by_role("tab", name="Compare").click()
        page.locator("tr:visible").filter(has_text="What are the differences").click()
        page.locator(".block.figures:visible").filter(has_text="complete").wait_for()
        page.mouse.wheel(0, -2000)
        page.wait_for_timeout(MILLISECONDS)
        page.screenshot(path=TARGET)
        chromium.close()


if __name__ == "__main__":
    main()
