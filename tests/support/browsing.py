"""A headless Chromium, and locators and actions for the page's components."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Error, Locator, Page, expect, sync_playwright

from phi3v.ui import words
from phi3v.ui.i18n.languages import find_languages, translate

SECONDS = 1000  # playwright's times are in milliseconds

# Runs a test in every language and direction, on narrow and wide pages. What depends on language
# and width together is in test_languages.py.
EVERYWHERE = pytest.mark.parametrize(("code", "width"), [("en", 390), ("he", 1600), ("fa", 390)])


def find_chromium() -> str | None:
    """Return the system's Chromium, the build without windows first: it needs half the time."""
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def start_browser() -> Iterator[Browser]:
    """Yield a headless Chromium with a fake camera; the body of a fixture."""
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(
                executable_path=find_chromium(),
                args=[
                    "--no-sandbox",
                    "--use-fake-device-for-media-stream",
                    "--use-fake-ui-for-media-stream",
                ],
            )
        except Error as error:
            reason = f"no Chromium can be started here: {error.message.splitlines()[0]}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        yield chromium
        chromium.close()


def open_page(page: Page, url: str) -> None:
    page.set_default_timeout(60 * SECONDS)
    expect.set_options(timeout=60 * SECONDS)
    page.goto(url)
    expect(button(page, "Ask")).to_be_visible()


def said(page: Page, text: str) -> str:
    """Return a text in the page's language."""
    code = page.locator("html").get_attribute("lang")
    assert code is not None
    return translate(text, find_languages()[code])


def button(page: Page, name: str) -> Locator:
    """Return a button of the open tab by its English text; icons have no text."""
    name = said(page, name)
    named = page.get_by_role("button", name=name, exact=True)
    return named.filter(has_text=name).locator("visible=true")


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=said(page, name), exact=True).click()


def unfold(page: Page, name: str) -> None:
    """Open an accordion of the open tab by its English title."""
    page.locator("button.label-wrap:visible").filter(has_text=said(page, name)).click()


def download(page: Page, target: Locator, path: Path) -> Path:
    """Click on a button or link and save the file that it downloads.

    A Chromium without windows cancels some 3 % of downloads from links that open a window, which
    Gradio's do; those are tried again.
    """
    for is_last in (False, False, True):
        with page.expect_download() as found:
            target.click()
        try:
            found.value.save_as(path)
            break
        except Error as error:
            if is_last or "canceled" not in error.message:
                raise
    return path


def set_slider(page: Page, name: str, value: float) -> None:
    """Type a number into a slider's box and leave it, which makes Gradio take the value."""
    name = said(page, name)
    slider = page.get_by_label(f"range slider for {name}").locator("visible=true")
    expect(slider).to_be_visible()
    page.wait_for_timeout(SECONDS / 2)
    box = page.get_by_label(f"number input for {name}").locator("visible=true")
    box.fill(str(value))
    box.press("Tab")
    expect(slider).to_have_value(str(value))


def question(page: Page) -> Locator:
    named = page.locator("label:visible").filter(has_text=said(page, words.QUESTION))
    return named.locator("textarea")


def draw(path: Path, size: tuple[int, int], dot: str = "red") -> Path:
    """Save an image to upload: a dot on white; return its path."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).ellipse((5, 5, 25, 25), fill=dot)
    image.save(path)
    return path


def choose_files(page: Page, *files: Path) -> None:
    page.locator(".pictures:visible input[type=file]").first.set_input_files(files)


def upload(page: Page, *files: Path) -> None:
    """Add images, and wait until the page has them: a question asked earlier is refused."""
    before = captions(page).count()
    choose_files(page, *files)
    expect(captions(page)).to_have_count(before + len(files))


def captions(page: Page) -> Locator:
    return page.locator(".pictures:visible .caption-label")


def messages(page: Page) -> Locator:
    return page.locator("[data-testid=user]:visible, [data-testid=bot]:visible")


def figures(page: Page) -> Locator:
    return page.locator(".block.figures:visible")


def ask(page: Page, text: str = "") -> None:
    question(page).fill(text)
    button(page, "Ask").click()


def wait_for_answer(page: Page) -> None:
    """Wait for a whole answer, and until the session's Chat has it: Ask is enabled only then."""
    expect(figures(page)).to_contain_text(said(page, words.REASONS["end"]))
    expect(button(page, "Ask")).to_be_enabled()
