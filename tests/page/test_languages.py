"""The page in a real browser in every language, narrow and wide: main paths, direction, texts."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Locator, Page, expect
from support.browsing import SECONDS, start_browser
from support.fake_engine import MeasuredEngine
from support.serving import serve

from phi3v.translatable import Text
from phi3v.ui import words
from phi3v.ui.i18n.languages import Language, find_languages, translate
from phi3v.ui.ocr import words as ocr_words

pytestmark = pytest.mark.browser

# Words that are the same in every language, and words that the tests themselves enter.
NAMES = set(
    "Phi Vision English OCR GPU JSON CSV PDF TIFF Markdown Top p seed API MB GB x zip https fake "
    "cpu float32 log KB B png pdf dot name python app py model microsoft vision instruct".split()
)
# Questions to the model and its answers are in English, and so is code.
ENGLISH_PARTS = ".message, .dataset td, table td.textbox, code, .languages, .file-preview, .result"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from start_browser()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(MeasuredEngine()) as address:
        yield address


@pytest.fixture(params=[390, 1600])
def width(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(params=find_languages().values(), ids=lambda language: language.code)
def language(request: pytest.FixtureRequest) -> Language:
    return request.param


@pytest.fixture
def page(browser: Browser, url: str, language: Language, width: int) -> Iterator[Page]:
    view = {"width": width, "height": 900}
    page = browser.new_page(viewport=view, locale=language.code)
    page.set_default_timeout(60 * SECONDS)
    expect.set_options(timeout=60 * SECONDS)
    page.goto(url)
    yield page
    page.close()


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = []
    for colour in ("red", "blue"):
        image = Image.new("RGB", (90, 60), "white")
        ImageDraw.Draw(image).ellipse((10, 10, 40, 40), fill=colour)
        paths.append(tmp_path / f"dot-{len(paths)}.png")
        image.save(paths[-1])
    return paths


def button(page: Page, text: str) -> Locator:
    return page.locator("button:visible").filter(
        has_text=re.compile(f"^\\s*{re.escape(text)}\\s*$")
    )


def open_tab(page: Page, text: str, language: Language) -> None:
    page.get_by_role("tab", name=translate(text, language), exact=True).click()


def ask_about(page: Page, pictures: list[Path], language: Language) -> None:
    """Add images, ask a question, and wait for the complete answer."""
    page.locator(".pictures:visible input[type=file]").first.set_input_files(pictures)
    expect(page.locator(".pictures:visible .caption-label")).to_have_count(len(pictures))
    name = translate(Text("Image {number}", number=1), language)
    expect(page.locator(".pictures:visible .caption-label").first).to_contain_text(name)
    label = page.locator("label:visible").filter(has_text=translate(words.QUESTION, language))
    label.locator("textarea").fill("dot")
    button(page, translate(words.ASK, language)).click()
    expect(page.locator(".block.figures:visible")).to_contain_text(translate("complete", language))


def check_words(page: Page, language: Language) -> None:
    """Assert the page's direction, that it fits its width, and that no text is left in English."""
    root = page.locator("html")
    expect(root).to_have_attribute("lang", language.code)
    assert root.evaluate("root => getComputedStyle(root).direction") == language.direction
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0
    if not language.strings:
        return
    shown = page.evaluate(
        """parts => {
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            const isShown = (element) => element.checkVisibility({visibilityProperty: true})
                && !element.closest(parts) && !element.closest("script, style");
            const texts = [];
            while (walker.nextNode()) {
                if (isShown(walker.currentNode.parentElement)) {
                    texts.push(walker.currentNode.textContent);
                }
            }
            for (const element of document.querySelectorAll("[aria-label], [title]")) {
                const names = ["aria-label", "title"].map((name) => element.getAttribute(name));
                if (isShown(element)) texts.push(...names.filter(Boolean));
            }
            return texts;
        }""",
        ENGLISH_PARTS,
    )
    left = {word for text in shown for word in re.findall(r"[A-Za-z]\w*", text)} - NAMES
    assert left == set()


def test_describe_in_every_language(page: Page, language: Language, pictures: list[Path]) -> None:
    ask_about(page, pictures[:1], language)
    page.locator("button.label-wrap:visible").first.click()
    check_words(page, language)
    # A message has the direction of its own language.
    label = page.locator("label:visible").filter(has_text=translate(words.QUESTION, language))
    label.locator("textarea").fill("מה זה?")
    style = "element => getComputedStyle(element).unicodeBidi"
    assert label.locator("textarea").evaluate(style) == "plaintext"
    button(page, translate(words.ASK, language)).click()
    message = page.locator("[data-testid=user]:visible p").last
    expect(message).to_contain_text("מה זה?")
    assert message.evaluate(style) == "plaintext"


def test_compare_in_every_language(page: Page, language: Language, pictures: list[Path]) -> None:
    open_tab(page, "Compare", language)
    ask_about(page, pictures, language)
    nearly = {"en": "Nearly the same", "he": "כמעט זהות", "fa": "تقریباً یکسان"}[language.code]
    expect(page.locator(".block.verdict")).to_contain_text(nearly)
    check_words(page, language)


def test_documents_in_every_language(
    page: Page, language: Language, pictures: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "dot.pdf"
    bad.write_bytes(b"%PDF-1.4 garbage")
    open_tab(page, "OCR", language)
    button(page, translate(ocr_words.READ, language)).click()
    empty = page.locator("div.validation-error:visible")
    expect(empty).to_contain_text(translate(ocr_words.NO_FILES, language))
    page.locator(".block:visible input[type=file]").first.set_input_files([*pictures, bad])
    expect(page.locator(".file-preview:visible tr")).to_have_count(3)
    button(page, translate(ocr_words.READ, language)).click()
    done = translate(ocr_words.all_read(3, 1), language)
    expect(page.locator(".block.reading-progress:visible")).to_contain_text(done)
    page.locator("input[role=combobox]:visible").click()
    page.locator("[role=option]").last.click()
    reason = {"en": "begins like a PDF", "he": "מתחיל כמו PDF", "fa": "مانند PDF"}[language.code]
    expect(page.locator(".block.note").filter(has_text=reason)).to_be_visible()
    check_words(page, language)


def test_the_language_can_be_changed_and_stays(browser: Browser, url: str) -> None:
    page = browser.new_page(locale="he", viewport={"width": 1200, "height": 900})
    page.set_default_timeout(60 * SECONDS)
    page.goto(url)
    for language in (find_languages()[code] for code in ("fa", "en", "he")):
        page.get_by_role("button", name=language.name, exact=True).click()
        expect(button(page, translate(words.ASK, language))).to_be_visible()
        page.reload()
        expect(button(page, translate(words.ASK, language))).to_be_visible()
        current = page.locator(".languages [aria-current]")
        expect(current).to_have_text(language.name)
        button(page, translate(words.RETRY, language)).click()
        told = page.locator("div.validation-error:visible")
        expect(told).to_contain_text(translate(words.NOTHING_TO_RETRY, language))
    page.close()
