"""The phases shown before an answer's first word, the queue position, and Stop in every phase."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support.browsing import (
    EVERYWHERE,
    SECONDS,
    ask,
    button,
    figures,
    messages,
    question,
    said,
    upload,
)
from support.fake_engine import FakeEngine

from phi3v.translatable import Text
from phi3v.ui import words

pytestmark = pytest.mark.browser


@EVERYWHERE
def test_each_phase_is_shown_and_stop_ends_it(page: Page, engine: FakeEngine, red: Path) -> None:
    upload(page, red)
    for phase, shown in (
        ("preparing", Text(words.OPENING_IMAGE, number=2, total=3)),
        ("encoding", Text(words.READING_IMAGE, number=2, total=3)),
        ("prefill", words.READING_QUESTION),
    ):
        ask(page, f"stuck {phase}")
        expect(figures(page)).to_contain_text(said(page, shown))
        button(page, "Stop").click()
        assert engine.ended.wait(5)
        expect(question(page)).to_have_value(f"stuck {phase}")
        expect(messages(page)).to_have_count(0)
    ask(page, "slow please")
    expect(messages(page).last).to_contain_text("word3")
    button(page, "Stop").click()
    assert engine.ended.wait(5)
    expect(figures(page)).to_contain_text(said(page, words.REASONS["stopped"]))
    ask(page, "And now?")
    expect(messages(page).last).to_contain_text("Turn 3: And now?")


@EVERYWHERE
def test_a_waiting_question_can_be_stopped(
    page: Page, visit: Callable[[], Page], engine: FakeEngine, red: Path
) -> None:
    upload(page, red)
    ask(page, "slow please")
    expect(messages(page).last).to_contain_text("word1")
    other = visit()
    upload(other, red)
    ask(other, "never asked")
    position = Text(words.WAITING_POSITION, number=1, total=1)
    expect(figures(other)).to_contain_text(said(page, position))
    button(other, "Stop").click()
    expect(question(other)).to_have_value("never asked")
    button(page, "Stop").click()
    assert engine.ended.wait(5)
    assert engine.requests[-1].turns[-1].text == "slow please"


def test_users_see_their_queue_position_and_move_up(
    visit: Callable[[], Page], engine: FakeEngine, red: Path
) -> None:
    first, second, third = visit(), visit(), visit()
    for page, text in ((first, "slow please"), (second, "never asked"), (third, "Mine?")):
        upload(page, red)
        ask(page, text)
        page.wait_for_timeout(SECONDS)
    expect(messages(first).last).to_contain_text("word1")
    expect(figures(second)).to_contain_text("position 1 of 2")
    expect(figures(third)).to_contain_text("position 2 of 2")
    button(second, "Stop").click()
    expect(question(second)).to_have_value("never asked")
    expect(figures(third)).to_contain_text("position 1 of 1")
    button(first, "Stop").click()
    expect(messages(third).last).to_contain_text("Turn 1: Mine?")
    assert [request.turns[-1].text for request in engine.requests[-2:]] == ["slow please", "Mine?"]


@pytest.mark.parametrize("width", [390, 1600])
def test_the_layout_does_not_shift_while_text_streams(page: Page, red: Path) -> None:
    upload(page, red)
    ask(page, "slow please")
    expect(messages(page).last).to_contain_text("word1")
    page.evaluate(
        """() => {
            window.shifted = 0;
            new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) window.shifted += entry.value;
            }).observe({type: "layout-shift"});
        }"""
    )
    expect(messages(page).last).to_contain_text("word25")
    # A cumulative layout shift up to 0.1 is rated good; buttons below a growing answer cause 0.001.
    assert page.evaluate("window.shifted") < 0.01
    button(page, "Stop").click()
