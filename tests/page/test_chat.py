"""The page in a real browser: pictures moved, questions edited, conversations saved and loaded."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Error, Locator, Page, expect
from support.browsing import (
    EVERYWHERE,
    SECONDS,
    ask,
    button,
    captions,
    download,
    draw,
    figures,
    messages,
    open_tab,
    said,
    unfold,
    upload,
    wait_for_answer,
)

from phi3v.translatable import Text
from phi3v.ui import words
from phi3v.ui.compare import words as compare_words

pytestmark = pytest.mark.browser

SUBMIT = re.compile("^(Submit|שלח|ارسال)$")  # the chatbot's own label in each language


def edit_first(page: Page) -> Locator:
    """Edit the first question; return its box. A click while the conversation scrolls is lost."""
    box = page.locator(".edit-textarea")
    for _ in range(10):
        page.locator("button:has(.feather-edit-2)").first.click()
        with suppress(Error):
            box.wait_for(timeout=2 * SECONDS)
            break
    return box


@EVERYWHERE
def test_two_nearly_equal_pictures_are_shown_with_what_changed(page: Page, tmp_path: Path) -> None:
    open_tab(page, "Compare")
    pair = [draw(tmp_path / f"{dot}.png", (90, 60), dot) for dot in ("red", "blue")]
    upload(page, *pair)
    verdict = page.locator(".block.verdict")
    _, nearly, _ = said(page, compare_words.VERDICTS["nearly the same"]).split("**")
    expect(verdict).to_contain_text(nearly, timeout=60 * SECONDS)
    place = Text("{number} {place}", number=1, place=Text("top left"))
    expect(verdict).to_contain_text(said(page, place))
    expect(page.locator(".slider img")).to_have_count(2)
    expect(page.locator(".changes img")).to_be_visible()
    upload(page, draw(tmp_path / "again.png", (90, 60)))
    right = page.get_by_label(said(page, compare_words.SECOND))
    expect(right).to_be_visible()
    right.click()
    page.get_by_role("option", name=said(page, words.picture_name(3))).click()
    _, identical, _ = said(page, compare_words.VERDICTS["identical"]).split("**")
    expect(verdict).to_contain_text(identical, timeout=60 * SECONDS)
    expect(verdict).to_contain_text(said(page, words.picture_name(3)))


def test_a_moved_picture_takes_its_new_number_along(page: Page, tmp_path: Path) -> None:
    upload(page, draw(tmp_path / "small.png", (40, 30)), draw(tmp_path / "large.png", (60, 50)))
    expect(captions(page)).to_have_text(["Image 1", "Image 2"])
    page.locator(".pictures:visible .thumbnail-item").last.click()
    button(page, "◀ Move Image 2").click()
    expect(button(page, "Move Image 1 ▶")).to_be_enabled()
    ask(page, "Sizes?")
    expect(messages(page).last).to_contain_text("2 pictures (60 x 50, 40 x 30)")
    wait_for_answer(page)
    button(page, "Move Image 1 ▶").click()
    expect(page.get_by_text("Image 1 has been asked about")).to_be_visible()


def test_a_removed_picture_leaves_the_chat(page: Page, tmp_path: Path) -> None:
    upload(page, draw(tmp_path / "small.png", (40, 30)), draw(tmp_path / "large.png", (60, 50)))
    ask(page, "Sizes?")
    wait_for_answer(page)
    page.get_by_label("Delete image").first.click()
    expect(page.get_by_text("taken out of the conversation too").first).to_be_visible()
    expect(messages(page).first).to_have_text("Image 1\nSizes?", use_inner_text=True)


@EVERYWHERE
def test_an_edited_question_is_asked_again_from_there(page: Page, tmp_path: Path) -> None:
    upload(page, draw(tmp_path / "small.png", (40, 30)))
    for number, text in ((2, "First?"), (4, "Second?")):
        ask(page, text)
        expect(messages(page)).to_have_count(number)
        wait_for_answer(page)
    edit_first(page).fill(said(page, words.picture_name(1)) + "\nWhich?")
    page.get_by_label(SUBMIT).first.click()
    expect(messages(page)).to_have_count(2)
    expect(messages(page).last).to_contain_text("1 pictures (40 x 30). Turn 1: Which?")


@EVERYWHERE
def test_a_conversation_is_saved_loaded_and_continued(
    page: Page, visit: Callable[[], Page], tmp_path: Path
) -> None:
    upload(page, draw(tmp_path / "small.png", (40, 30)))
    ask(page, "First?")
    wait_for_answer(page)
    unfold(page, words.TRANSFER)
    button(page, words.SAVE).click()
    link = page.locator("a[download]:visible").first
    path = download(page, link, tmp_path / "conversation.zip")
    other = visit()
    unfold(other, words.TRANSFER)
    other.locator("input[type=file][accept='.zip']").first.set_input_files(path)
    expect(messages(other)).to_have_count(2)
    expect(captions(other)).to_have_text([said(page, words.picture_name(1))])
    expect(figures(other)).to_contain_text(said(page, words.loaded("fake", "")))
    ask(other, "Second?")
    expect(messages(other).last).to_contain_text("1 pictures (40 x 30). Turn 3: Second?")


def test_an_invalid_conversation_file_is_reported(page: Page, tmp_path: Path) -> None:
    notes = tmp_path / "notes.zip"
    notes.write_text("Dear diary")
    unfold(page, "Save or load")
    page.locator("input[type=file][accept='.zip']").first.set_input_files(notes)
    expect(page.get_by_text("The file is no saved conversation")).to_be_visible()
