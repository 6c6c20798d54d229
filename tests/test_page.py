"""The page in a real browser: what a person does and sees."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from PIL import Image
from playwright.sync_api import Browser, Error, Locator, Page, expect, sync_playwright
from serving import serve

from phi3v import load
from phi3v.checkpoint import EMBEDDED_FOLDER
from phi3v.settings import Settings
from phi3v.starting import StartingEngine

pytestmark = pytest.mark.browser

SECONDS = 1000  # playwright counts in milliseconds


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, with a camera that shows a test picture."""
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(
                executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
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


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def url(engine: FakeEngine) -> Iterator[str]:
    with serve(engine, Settings(upload_limit=1)) as address:
        yield address


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Callable[[], Page]]:
    """Opens the page for one more user; all leave when the test ends."""
    pages: list[Page] = []

    def open_one() -> Page:
        pages.append(browser.new_page(viewport={"width": 1400, "height": 900}))
        open_page(pages[-1], url)
        return pages[-1]

    yield open_one
    for page in pages:
        page.close()


@pytest.fixture
def page(visit: Callable[[], Page]) -> Page:
    return visit()


@pytest.fixture
def red(tmp_path: Path) -> Path:
    return draw(tmp_path / "red.png", "red", (40, 30))


@pytest.fixture
def blue(tmp_path: Path) -> Path:
    return draw(tmp_path / "blue.png", "blue", (60, 50))


def draw(path: Path, colour: str, size: tuple[int, int]) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def open_page(page: Page, url: str) -> None:
    page.set_default_timeout(10 * SECONDS)
    expect.set_options(timeout=10 * SECONDS)
    page.goto(url)
    expect(button(page, "Ask")).to_be_visible()


def button(page: Page, name: str) -> Locator:
    """A button of the tab that is open, by its text: icons have none."""
    named = page.get_by_role("button", name=name, exact=True)
    return named.filter(has_text=name).locator("visible=true")


def question(page: Page) -> Locator:
    return page.locator("label:visible").filter(has_text="Question").locator("textarea")


def upload(page: Page, *files: Path) -> None:
    page.locator(".pictures:visible input[type=file]").first.set_input_files(files)


def captions(page: Page) -> Locator:
    return page.locator(".pictures:visible .caption-label")


def messages(page: Page) -> Locator:
    return page.locator("[data-testid=user]:visible, [data-testid=bot]:visible")


def figures(page: Page) -> Locator:
    return page.locator(".block.figures:visible")


def ask(page: Page, text: str = "") -> None:
    question(page).fill(text)
    button(page, "Ask").click()


def test_a_person_uploads_asks_and_reads_a_streamed_answer(page: Page, red: Path) -> None:
    upload(page, red)
    expect(captions(page)).to_have_text(["Image 1"])
    ask(page, "slow please")
    expect(messages(page).last).to_contain_text("word2")
    assert "word9" not in messages(page).last.inner_text()
    expect(messages(page).last).to_contain_text("word9")
    button(page, "Stop").click()


def test_without_a_question_the_default_one_is_asked(page: Page, red: Path) -> None:
    upload(page, red)
    ask(page)
    expect(messages(page)).to_have_text(
        ["Image 1\nDescribe this image.", "1 pictures (40 x 30). Turn 1: Describe this image."],
        use_inner_text=True,
    )
    expect(figures(page)).to_contain_text("40.0 tokens/s")
    expect(figures(page)).to_contain_text("64 of them image · complete")


def test_pictures_added_later_are_numbered_on(page: Page, red: Path, blue: Path) -> None:
    upload(page, red)
    expect(captions(page)).to_have_text(["Image 1"])
    upload(page, blue)
    expect(captions(page)).to_have_text(["Image 1", "Image 2"])


def test_a_removed_picture_leaves_no_gap_in_the_numbers(page: Page, red: Path, blue: Path) -> None:
    upload(page, red, blue)
    expect(captions(page)).to_have_text(["Image 1", "Image 2"])
    page.get_by_label("Delete image").first.click()
    expect(captions(page)).to_have_text(["Image 1"])
    ask(page)
    expect(messages(page).last).to_contain_text("1 pictures (60 x 50)")


def test_a_second_question_goes_on_about_the_same_pictures(
    page: Page, red: Path, blue: Path
) -> None:
    upload(page, red)
    ask(page, "First?")
    expect(messages(page).last).to_contain_text("Turn 1: First?")
    upload(page, blue)
    expect(captions(page)).to_have_count(2)
    ask(page, "Second?")
    expect(messages(page)).to_have_count(4)
    expect(messages(page).nth(2)).to_contain_text("Image 2")
    expect(messages(page).last).to_contain_text("2 pictures (40 x 30, 60 x 50). Turn 3: Second?")


def test_stop_ends_the_answer_keeps_it_and_leaves_the_page_usable(
    page: Page, engine: FakeEngine, red: Path
) -> None:
    upload(page, red)
    ask(page, "slow please")
    expect(messages(page).last).to_contain_text("word3")
    button(page, "Stop").click()
    assert engine.ended.wait(1)
    expect(figures(page)).to_contain_text("stopped")
    expect(button(page, "Stop")).to_be_disabled()
    expect(messages(page).last).to_contain_text("word3")
    ask(page, "And now?")
    expect(messages(page)).to_have_count(4)
    expect(messages(page).last).to_contain_text("Turn 3: And now?")


def test_stop_before_the_first_word_gives_the_question_back(
    page: Page, engine: FakeEngine, red: Path
) -> None:
    upload(page, red)
    ask(page, "silent please")
    expect(figures(page)).to_contain_text("Reading the question")
    button(page, "Stop").click()
    assert engine.ended.wait(1)
    expect(question(page)).to_have_value("silent please")
    expect(messages(page)).to_have_count(0)


def test_one_users_stop_touches_nobody_else(
    page: Page, visit: Callable[[], Page], red: Path
) -> None:
    upload(page, red)
    ask(page, "slow please")
    expect(messages(page).last).to_contain_text("word1")
    other = visit()
    upload(other, red)
    ask(other, "Mine?")
    expect(figures(other)).to_contain_text("Waiting for its turn")
    button(page, "Stop").click()
    expect(messages(other).last).to_contain_text("Turn 1: Mine?")
    expect(messages(page)).to_have_count(2)


def test_a_waiting_question_can_be_stopped(
    page: Page, visit: Callable[[], Page], engine: FakeEngine, red: Path
) -> None:
    other = visit()
    upload(other, red)
    ask(other, "slow please")
    expect(messages(other).last).to_contain_text("word1")
    upload(page, red)
    ask(page, "never asked")
    expect(figures(page)).to_contain_text("Waiting for its turn")
    button(page, "Stop").click()
    expect(question(page)).to_have_value("never asked")
    button(other, "Stop").click()
    assert engine.ended.wait(1)
    assert engine.requests[-1].turns[-1].text == "slow please"


def test_a_full_queue_is_told_and_the_page_stays_usable(browser: Browser, red: Path) -> None:
    engine = FakeEngine()
    with serve(engine, Settings(queue_size=1)) as url:
        pages = [browser.new_page() for _ in range(3)]
        for page in pages:
            open_page(page, url)
            upload(page, red)
            expect(captions(page)).to_have_count(1)
        for page, text in zip(pages, ("slow please", "slow too", "one too many"), strict=True):
            ask(page, text)
            page.wait_for_timeout(SECONDS)
        refused = pages[2]
        expect(refused.get_by_text("currently busy").first).to_be_visible()
        expect(question(refused)).to_have_value("one too many")
        for page in pages[:2]:
            button(page, "Stop").click()
        button(refused, "Ask").click()
        expect(messages(refused).last).to_contain_text("Turn 1: one too many")
        for page in pages:
            page.close()


def test_a_closed_tab_ends_its_answer(page: Page, engine: FakeEngine, red: Path) -> None:
    upload(page, red)
    ask(page, "slow please")
    expect(messages(page).last).to_contain_text("word1")
    page.close()
    assert engine.ended.wait(5)


def test_retry_writes_the_last_answer_again(page: Page, engine: FakeEngine, red: Path) -> None:
    upload(page, red)
    ask(page, "Again?")
    expect(messages(page)).to_have_count(2)
    expect(button(page, "Retry")).to_be_enabled()
    asked = len(engine.requests)
    button(page, "Retry").click()
    expect(figures(page)).not_to_contain_text("complete")
    expect(figures(page)).to_contain_text("complete")
    expect(messages(page)).to_have_count(2)
    expect(messages(page).last).to_contain_text("Turn 1: Again?")
    assert [len(request.turns) for request in engine.requests[asked:]] == [1]


def test_a_cut_answer_goes_on_where_it_ended(page: Page, red: Path) -> None:
    upload(page, red)
    button(page, "Settings").click()
    page.get_by_label("number input for Longest answer (tokens)").locator("visible=true").fill("2")
    ask(page, "say one two three")
    expect(figures(page)).to_contain_text("The text is cut")
    button(page, "Continue").click()
    expect(messages(page).last).to_have_text("one two three")
    expect(messages(page)).to_have_count(2)
    expect(button(page, "Continue")).to_be_hidden()


def test_clear_forgets_everything_also_in_the_middle_of_an_answer(
    page: Page, engine: FakeEngine, red: Path
) -> None:
    upload(page, red)
    ask(page, "slow please")
    expect(messages(page).last).to_contain_text("word2")
    button(page, "Clear").click()
    assert engine.ended.wait(1)
    expect(messages(page)).to_have_count(0)
    expect(captions(page)).to_have_count(0)
    page.wait_for_timeout(500)
    expect(messages(page)).to_have_count(0)
    upload(page, red)
    ask(page, "Anew?")
    expect(messages(page).last).to_contain_text("1 pictures (40 x 30). Turn 1: Anew?")


def test_an_example_runs_on_a_click(page: Page) -> None:
    page.get_by_role("tab", name="Compare").click()
    page.locator("tr:visible").filter(has_text="What is difference in this two").click()
    expect(messages(page).last).to_contain_text("2 pictures (336 x 336, 336 x 336)")
    expect(captions(page)).to_have_text(["Image 1", "Image 2"])
    ask(page, "Which is open?")
    expect(messages(page).last).to_contain_text("2 pictures (336 x 336, 336 x 336). Turn 3")


def test_the_camera_gives_a_picture(page: Page) -> None:
    page.locator(".pictures:visible").get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('video')?.videoWidth > 0")
    page.get_by_label("capture photo").click()
    expect(captions(page)).to_have_text(["Image 1"])
    ask(page)
    expect(messages(page).last).to_contain_text("1 pictures (")


def test_no_picture_is_told_and_then_it_works(page: Page, red: Path) -> None:
    ask(page, "What is it?")
    complaint = page.locator("div.validation-error:visible")
    expect(complaint).to_contain_text("Describe needs at least one picture")
    expect(question(page)).to_have_value("What is it?")
    upload(page, red)
    button(page, "Ask").click()
    expect(messages(page).last).to_contain_text("Turn 1: What is it?")
    expect(complaint).to_be_hidden()


def test_one_picture_is_not_enough_to_compare(page: Page, red: Path, blue: Path) -> None:
    page.get_by_role("tab", name="Compare").click()
    upload(page, red)
    expect(captions(page)).to_have_count(1)
    ask(page)
    complaint = page.locator("div.validation-error:visible")
    expect(complaint).to_contain_text("at least two pictures, and there is only 1")
    upload(page, blue)
    expect(captions(page)).to_have_count(2)
    ask(page)
    expect(messages(page).last).to_contain_text("2 pictures (40 x 30, 60 x 50)")


def test_a_text_file_named_png_is_told_and_the_others_are_kept(
    page: Page, tmp_path: Path, red: Path
) -> None:
    notes = tmp_path / "notes.png"
    notes.write_text("Dear diary\n" * 20)
    upload(page, notes, red)
    expect(page.get_by_text("notes.png is not a picture but a text file")).to_be_visible()
    expect(captions(page)).to_have_text(["Image 1"])


def test_too_large_a_file_is_told(page: Page, tmp_path: Path, red: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(1_200_000))
    upload(page, large)
    expect(page.get_by_text("exceed the maximum allowed size")).to_be_visible()
    upload(page, red)
    expect(captions(page)).to_have_text(["Image 1"])


def test_what_the_engine_refuses_is_told_and_the_question_comes_back(page: Page, red: Path) -> None:
    upload(page, red)
    ask(page, "refuse this")
    expect(page.get_by_text("The prompt has 5000 tokens")).to_be_visible()
    expect(question(page)).to_have_value("refuse this")
    ask(page, "Better?")
    expect(messages(page)).to_have_count(2)
    expect(messages(page).last).to_contain_text("Turn 1: Better?")


def test_a_failure_is_told_in_plain_words(page: Page, red: Path) -> None:
    upload(page, red)
    ask(page, "break this")
    expect(page.get_by_text("Something went wrong on this side")).to_be_visible()
    assert "secret" not in page.content()
    ask(page, "Better?")
    expect(messages(page).last).to_contain_text("Turn 1: Better?")


def test_a_private_address_is_told_and_stays_in_its_box(page: Page) -> None:
    address = (
        page.locator("label:visible")
        .filter(has_text="Picture from the web")
        .locator("input, textarea")
    )
    address.fill("http://127.0.0.1/x.png")
    address.press("Enter")
    expect(page.get_by_text("127.0.0.1 is not on the public internet")).to_be_visible()
    expect(address).to_have_value("http://127.0.0.1/x.png")


def test_marks_of_the_chat_format_are_shown_as_typed(page: Page, red: Path) -> None:
    upload(page, red)
    ask(page, "What is <|image_7|> and <|end|>?")
    expect(messages(page).first).to_contain_text("What is <|image_7|> and <|end|>?")
    expect(messages(page).last).to_contain_text("What is <|image_7|> and <|end|>?")


def test_the_page_says_which_network_answers(page: Page) -> None:
    expect(page.get_by_text("Answers come from fake on cpu, float32.")).to_be_visible()


def test_the_page_is_there_before_the_network(browser: Browser, engine: FakeEngine) -> None:
    gate = threading.Event()
    with serve(StartingEngine(lambda: gate.wait() and engine, "fake")) as url:
        page = browser.new_page()
        open_page(page, url)
        expect(page.get_by_text("fake is being loaded")).to_be_visible()
        page.locator("tr:visible").filter(has_text="Describe this image.").click()
        expect(figures(page)).to_contain_text("The network is still being loaded")
        gate.set()
        expect(messages(page).last).to_contain_text("Describe this image.")
        expect(page.get_by_text("Answers come from fake on cpu, float32.")).to_be_visible()
        page.close()


def test_the_page_loads_nothing_from_elsewhere(browser: Browser, url: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, url)
    page.close()
    assert [one for one in asked if not one.startswith((url, "data:", "blob:"))] == []


@pytest.mark.parametrize("width", [390, 1600])
def test_nothing_sticks_out_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for tab, main in {
        "Describe": "Ask",
        "OCR": "Read",
        "Conversation": "Ask",
        "Compare": "Ask",
    }.items():
        page.get_by_role("tab", name=tab).click()
        expect(button(page, main)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "config.json").exists(),
    reason="the embedded checkpoint is not here; see training/",
)
def test_the_embedded_network_answers_an_example_in_the_page(browser: Browser) -> None:
    with serve(load("embedded")) as url:
        page = browser.new_page()
        open_page(page, url)
        page.locator("tr:visible").filter(has_text="Describe this image.").click()
        expect(messages(page).last).to_contain_text("red circle", timeout=60 * SECONDS)
        expect(figures(page)).to_contain_text("complete", timeout=60 * SECONDS)
        page.close()
