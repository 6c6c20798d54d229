"""The page in a real browser: asking, retrying, continuing, errors, and background loading."""

import threading
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browsing import (
    EVERYWHERE,
    SECONDS,
    ask,
    button,
    captions,
    figures,
    messages,
    open_page,
    question,
    said,
    set_slider,
    unfold,
    upload,
    wait_for_answer,
)
from support.fake_engine import FakeEngine
from support.serving import serve

from phi3v import load
from phi3v.inference.background_loading import LoadingEngine
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.ui import words

pytestmark = pytest.mark.browser


def test_a_person_uploads_asks_and_reads_a_streamed_answer(
    page: Page, engine: FakeEngine, red: Path
) -> None:
    upload(page, red)
    expect(captions(page)).to_have_text(["Image 1"])
    engine.gate.clear()
    ask(page, "held please")
    expect(messages(page).last).to_have_text("begun")
    engine.gate.set()
    expect(messages(page).last).to_have_text("begun 1 pictures (40 x 30). Turn 1: held please")


def test_without_a_question_the_default_one_is_asked(page: Page, red: Path) -> None:
    upload(page, red)
    ask(page)
    expect(messages(page)).to_have_text(
        ["Image 1\nDescribe this image.", "1 pictures (40 x 30). Turn 1: Describe this image."],
        use_inner_text=True,
    )
    expect(figures(page)).to_contain_text("40.0 tokens/s")
    expect(figures(page)).to_contain_text("64 of them image · complete")


def test_a_second_question_is_about_the_same_pictures(page: Page, red: Path, blue: Path) -> None:
    upload(page, red)
    ask(page, "First?")
    expect(messages(page).last).to_contain_text("Turn 1: First?")
    upload(page, blue)
    ask(page, "Second?")
    expect(messages(page)).to_have_count(4)
    expect(messages(page).nth(2)).to_contain_text("Image 2")
    expect(messages(page).last).to_contain_text("2 pictures (40 x 30, 60 x 50). Turn 3: Second?")


@EVERYWHERE
def test_retry_writes_the_last_answer_again(page: Page, engine: FakeEngine, red: Path) -> None:
    complete = said(page, words.REASONS["end"])
    upload(page, red)
    engine.gate.set()
    ask(page, "held please")
    expect(figures(page)).to_contain_text(complete)
    engine.gate.clear()
    button(page, "Retry").click()
    expect(messages(page).last).to_have_text("begun")
    expect(messages(page)).to_have_count(2)
    expect(figures(page)).not_to_contain_text(complete)
    engine.gate.set()
    expect(figures(page)).to_contain_text(complete)
    expect(messages(page)).to_have_count(2)
    first, again = engine.requests[-2:]
    assert again.turns == first.turns


def test_a_cut_answer_is_continued_where_it_ended(page: Page, red: Path) -> None:
    upload(page, red)
    unfold(page, "Settings")
    set_slider(page, words.MAX_NEW_TOKENS, 2)
    ask(page, "say one two three")
    expect(figures(page)).to_contain_text("The text is cut")
    button(page, "Continue").click()
    expect(messages(page).last).to_have_text("one two three")
    expect(messages(page)).to_have_count(2)
    expect(button(page, "Continue")).to_be_hidden()


def test_an_example_runs_on_a_click(page: Page) -> None:
    page.get_by_role("tab", name="Compare").click()
    page.locator("tr:visible").filter(has_text="What is difference in this two").click()
    expect(messages(page).last).to_contain_text("2 pictures (336 x 336, 336 x 336)")
    expect(captions(page)).to_have_text(["Image 1", "Image 2"])
    ask(page, "Which is open?")
    expect(messages(page).last).to_contain_text("2 pictures (336 x 336, 336 x 336). Turn 3")


def test_a_missing_picture_is_reported_and_can_be_added(page: Page, red: Path) -> None:
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
    ask(page)
    complaint = page.locator("div.validation-error:visible")
    expect(complaint).to_contain_text("at least two pictures, and there is only 1")
    upload(page, blue)
    ask(page)
    expect(messages(page).last).to_contain_text("2 pictures (40 x 30, 60 x 50)")


def test_a_refusal_by_the_engine_is_shown_and_the_question_restored(page: Page, red: Path) -> None:
    upload(page, red)
    ask(page, "refuse this")
    expect(page.get_by_text("The prompt has 5000 tokens")).to_be_visible()
    expect(question(page)).to_have_value("refuse this")
    ask(page, "Better?")
    expect(messages(page)).to_have_count(2)
    expect(messages(page).last).to_contain_text("Turn 1: Better?")


def test_a_failure_is_reported_in_plain_words(page: Page, red: Path) -> None:
    upload(page, red)
    ask(page, "break this")
    expect(page.get_by_text("Something went wrong on this side")).to_be_visible()
    assert "secret" not in page.content()
    ask(page, "Better?")
    expect(messages(page).last).to_contain_text("Turn 1: Better?")


def test_chat_format_markers_are_shown_as_typed(page: Page, red: Path) -> None:
    upload(page, red)
    ask(page, "What is <|image_7|> and <|end|>?")
    expect(messages(page).first).to_contain_text("What is <|image_7|> and <|end|>?")
    expect(messages(page).last).to_contain_text("What is <|image_7|> and <|end|>?")


def test_the_page_names_its_model(page: Page) -> None:
    expect(page.get_by_text("Answers come from fake on cpu, float32.")).to_be_visible()


def test_the_page_is_served_before_the_model_is_loaded(
    browser: Browser, engine: FakeEngine
) -> None:
    gate = threading.Event()
    with serve(LoadingEngine(lambda: gate.wait() and engine, "fake")) as url:
        page = browser.new_page()
        open_page(page, url)
        expect(page.get_by_text("fake is being loaded")).to_be_visible()
        page.locator("tr:visible").filter(has_text="Describe this image.").click()
        expect(figures(page)).to_contain_text("The model is still loading")
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
def test_nothing_overflows_sideways(page: Page, width: int) -> None:
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
def test_the_embedded_model_answers_an_example_in_the_page(browser: Browser) -> None:
    with serve(load("embedded")) as url:
        page = browser.new_page()
        open_page(page, url)
        page.locator("tr:visible").filter(has_text="Describe this image.").click()
        expect(messages(page).last).to_contain_text("red circle", timeout=60 * SECONDS)
        wait_for_answer(page)
        page.close()
