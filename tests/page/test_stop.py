"""The page in a real browser: answers are stopped, and several users ask at once."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from support.browsing import (
    ask,
    button,
    captions,
    figures,
    messages,
    open_page,
    question,
    upload,
)
from support.fake_engine import FakeEngine
from support.serving import serve

from phi3v.settings import Settings

pytestmark = pytest.mark.browser


def test_stop_ends_the_answer_keeps_it_and_leaves_the_page_usable(
    page: Page, engine: FakeEngine, red: Path
) -> None:
    upload(page, red)
    ask(page, "slow please")
    expect(messages(page).last).to_contain_text("word3")
    button(page, "Stop").click()
    assert engine.ended.wait(5)
    expect(figures(page)).to_contain_text("stopped")
    expect(button(page, "Stop")).to_be_disabled()
    expect(messages(page).last).to_contain_text("word3")
    ask(page, "And now?")
    expect(messages(page)).to_have_count(4)
    expect(messages(page).last).to_contain_text("Turn 3: And now?")


def test_stop_before_the_first_word_restores_the_question(
    page: Page, engine: FakeEngine, red: Path
) -> None:
    upload(page, red)
    ask(page, "silent please")
    expect(figures(page)).to_contain_text("Reading the question")
    button(page, "Stop").click()
    assert engine.ended.wait(5)
    expect(question(page)).to_have_value("silent please")
    expect(messages(page)).to_have_count(0)


def test_one_users_stop_affects_nobody_else(
    page: Page, visit: Callable[[], Page], red: Path
) -> None:
    upload(page, red)
    ask(page, "slow please")
    expect(messages(page).last).to_contain_text("word1")
    other = visit()
    upload(other, red)
    ask(other, "Mine?")
    expect(figures(other)).to_contain_text("Waiting in the queue")
    button(page, "Stop").click()
    expect(messages(other).last).to_contain_text("Turn 1: Mine?")
    expect(messages(page)).to_have_count(2)


def test_a_full_queue_is_reported_and_the_page_stays_usable(browser: Browser, red: Path) -> None:
    engine = FakeEngine()
    with serve(engine, Settings(queue_size=1)) as url:
        pages = [browser.new_page() for _ in range(3)]
        for page in pages:
            open_page(page, url)
            upload(page, red)
        first, second, refused = pages
        ask(first, "slow please")
        expect(messages(first).last).to_contain_text("word1")
        ask(second, "slow too")
        wait_for_queue(url, 1)
        ask(refused, "one too many")
        expect(refused.get_by_text("currently busy").first).to_be_visible()
        expect(question(refused)).to_have_value("one too many")
        for page in pages[:2]:
            button(page, "Stop").click()
        button(refused, "Ask").click()
        expect(messages(refused).last).to_contain_text("Turn 1: one too many")
        for page in pages:
            page.close()


def wait_for_queue(url: str, size: int) -> None:
    """Wait until so many events wait in Gradio's queue."""
    deadline = time.monotonic() + 60
    while httpx.get(f"{url}gradio_api/queue/status").json()["queue_size"] != size:
        assert time.monotonic() < deadline, "nothing came into the queue"
        time.sleep(0.1)


def test_a_closed_tab_ends_its_answer(page: Page, engine: FakeEngine, red: Path) -> None:
    upload(page, red)
    ask(page, "slow please")
    expect(messages(page).last).to_contain_text("word1")
    page.close()
    assert engine.ended.wait(5)


def test_clear_removes_everything_even_during_an_answer(
    page: Page, engine: FakeEngine, red: Path
) -> None:
    upload(page, red)
    ask(page, "slow please")
    expect(messages(page).last).to_contain_text("word2")
    button(page, "Clear").click()
    assert engine.ended.wait(5)
    expect(messages(page)).to_have_count(0)
    expect(captions(page)).to_have_count(0)
    page.wait_for_timeout(500)
    expect(messages(page)).to_have_count(0)
    upload(page, red)
    ask(page, "Anew?")
    expect(messages(page).last).to_contain_text("1 pictures (40 x 30). Turn 1: Anew?")
