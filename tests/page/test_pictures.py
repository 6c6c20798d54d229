"""The page in a real browser: pictures are added, removed and refused."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support.browsing import ask, captions, choose_files, messages, upload

pytestmark = pytest.mark.browser


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


def test_the_camera_gives_a_picture(page: Page) -> None:
    page.locator(".pictures:visible").get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('video')?.videoWidth > 0")
    page.get_by_label("capture photo").click()
    expect(captions(page)).to_have_text(["Image 1"])
    ask(page)
    expect(messages(page).last).to_contain_text("1 pictures (")


def test_a_text_file_named_png_is_reported_and_the_others_are_kept(
    page: Page, tmp_path: Path, red: Path
) -> None:
    notes = tmp_path / "notes.png"
    notes.write_text("Dear diary\n" * 20)
    choose_files(page, notes, red)
    expect(page.get_by_text("notes.png is not a picture but a text file")).to_be_visible()
    expect(captions(page)).to_have_text(["Image 1"])


def test_a_file_over_the_upload_limit_is_reported(page: Page, tmp_path: Path, red: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(1_200_000))
    choose_files(page, large)
    expect(page.get_by_text("exceed the maximum allowed size")).to_be_visible()
    upload(page, red)
    expect(captions(page)).to_have_text(["Image 1"])


def test_a_private_address_is_reported_and_stays_in_its_box(page: Page) -> None:
    address = (
        page.locator("label:visible")
        .filter(has_text="Picture from the web")
        .locator("input, textarea")
    )
    address.fill("http://127.0.0.1/x.png")
    address.press("Enter")
    expect(page.get_by_text("127.0.0.1 is not on the public internet")).to_be_visible()
    expect(address).to_have_value("http://127.0.0.1/x.png")


def test_the_keyboard_reaches_no_button_that_does_nothing(page: Page, red: Path) -> None:
    upload(page, red)
    outer = page.locator(".pictures:visible button:has(button)")
    expect(outer).to_have_attribute("tabindex", "-1")
    with page.expect_file_chooser():
        outer.locator("button").press("Enter")
