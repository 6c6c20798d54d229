"""Stop, Clear and the end of an answer, in any order in which their events can arrive."""

from typing import Any

import gradio as gr
import pytest
from support.fake_engine import FakeEngine

from phi3v.settings import Settings
from phi3v.tasks import DESCRIBE
from phi3v.ui import build_page, words
from phi3v.ui.answering import make_stream
from phi3v.ui.chat.conversation import Answer, Chat
from phi3v.ui.chat.events import (
    begin_answer,
    clear,
    end_answer,
    give_answer,
    refuse_answer,
    stop_answer,
)
from phi3v.ui.chat.order import refresh_movers
from phi3v.ui.ocr.events import (
    begin_reading,
    clear_reading,
    discard_reading,
    end_reading,
    give_reading,
    stop_reading,
)
from phi3v.ui.ocr.reading import Reading
from phi3v.ui.stopping import RunningAnswers

SHOWN = [("assets/examples/circle.png", "Image 1")]
SAMPLING = (8, 0, 1, -1, "auto")


def begin(question: str, chat: Chat | None = None) -> Chat:
    return begin_answer(DESCRIBE, chat or Chat(), SHOWN, question)[0]


def write(chat: Chat) -> Any:
    return give_answer(DESCRIBE, make_stream(FakeEngine(), None), chat, *SAMPLING)


def is_skipped(values: tuple[Any, ...]) -> bool:
    return all(value == gr.skip() for value in values)


def test_a_stopped_answer_writes_nothing_more() -> None:
    chat = begin("slow please")
    steps = write(chat)
    answer = next(step[0] for step in steps if isinstance(step[0], Answer) and step[0].text)
    settled, messages, _, figures, *_ = stop_answer(DESCRIBE, chat, answer, "")
    assert list(steps) == []
    assert settled.turns[-1].text == answer.text
    assert messages[-1]["content"] == answer.text
    assert figures.endswith("stopped")


def test_the_late_end_of_a_stopped_answer_leaves_the_next_question_alone() -> None:
    first = begin("slow please")
    answer = Answer(first.ticket, "word1 ", "1 s")
    settled, *_ = stop_answer(DESCRIBE, first, answer, "")
    second = begin("And now?", settled)
    assert is_skipped(end_answer(DESCRIBE, second, answer, ""))
    *_, (last, _, _) = write(second)
    settled, *_ = end_answer(DESCRIBE, second, last, "")
    assert "Turn 3: And now?" in settled.turns[-1].text


def test_the_late_end_of_a_cleared_answer_shows_the_empty_chat() -> None:
    chat = begin("slow please")
    assert clear(chat)[1] == Chat()
    _, messages, question, figures, *_ = end_answer(DESCRIBE, Chat(), Answer(chat.ticket, "a"), "")
    assert (messages, question, figures) == ([], gr.skip(), "")


def test_an_answer_stopped_in_the_queue_gives_its_question_back_and_never_starts() -> None:
    chat = begin("slow please")
    settled, messages, question, figures, *_ = stop_answer(DESCRIBE, chat, Answer(), "")
    assert (settled.turns, messages, question) == ((), [], "slow please")
    assert figures == words.UNANSWERED
    assert list(write(chat)) == []


def test_an_answer_that_the_server_refuses_gives_its_question_back() -> None:
    chat = begin("slow please")
    assert is_skipped(end_answer(DESCRIBE, chat, Answer(), ""))
    settled, _, question, *_ = refuse_answer(DESCRIBE, chat, Answer(), "")
    assert (settled.ticket, question) == ("", "slow please")


def test_a_refusal_that_belongs_to_another_answer_stops_nothing() -> None:
    chat = begin("slow please")
    steps = write(chat)
    next(steps)
    assert is_skipped(refuse_answer(DESCRIBE, chat, Answer(), ""))
    steps.close()
    assert not is_skipped(end_answer(DESCRIBE, chat, Answer(), ""))


@pytest.fixture
def reading(tmp_path: Any) -> Any:
    """A reading that has begun, and its steps."""
    engine = FakeEngine()
    begun, *_ = begin_reading(["assets/examples/sign.png"], "", Reading())
    files = ["assets/examples/sign.png", "assets/examples/poster.png"]
    inputs = (begun, 0.5, files, "", "text", "slow please", *SAMPLING)
    return begun, give_reading(engine, make_stream(engine, None), str(tmp_path), *inputs)


def test_a_stopped_reading_keeps_what_it_has(reading: Any, tmp_path: Any) -> None:
    _, steps = reading
    state = next(step[0] for step in steps if step[0].results)
    stopped, text, *_ = stop_reading(str(tmp_path), state, None, 0.5)
    assert list(steps) == []
    assert not stopped.is_running
    assert stopped.results[0].text.startswith("word1")
    assert text == "Stopped after 1 of 2 pages."
    again, *_ = end_reading(str(tmp_path), stopped, 0, 0.5)
    assert again == stopped


def test_the_late_step_of_a_cleared_reading_does_not_bring_it_back(
    reading: Any, tmp_path: Any
) -> None:
    begun, steps = reading
    late = next(step[0] for step in steps if step[0].results)
    assert discard_reading(begun)[1] == Reading()
    ended = end_reading(str(tmp_path), late, 0, 0.5)
    assert ended[:2] == clear_reading()[1:3]
    assert len(ended) == 19


def test_the_late_end_of_a_reading_leaves_the_next_one_alone(tmp_path: Any) -> None:
    first, *_ = begin_reading([], "", Reading())
    stopped, *_ = stop_reading(str(tmp_path), first, None, 0.5)
    second, *_ = begin_reading([], "", stopped)
    assert is_skipped(end_reading(str(tmp_path), second, None, 0.5))


def test_no_event_is_cancelled_by_gradio() -> None:
    """It would close the browser's event stream, and lose what is asked next."""
    page = build_page(FakeEngine(), Settings())
    assert [fn.name for fn in page.fns.values() if fn.cancels] == []


def test_an_image_selected_meanwhile_stays_selected() -> None:
    shown = [("a.png", "Image 1"), ("b.png", "Image 2")]
    selected, earlier, later = refresh_movers(shown, 1)
    assert selected == gr.skip()
    assert (earlier.interactive, later.interactive) == (True, False)
    selected, earlier, later = refresh_movers(shown[:1], 1)
    assert selected is None
    assert (earlier.interactive, later.interactive) == (False, False)


def test_runs_are_known_by_their_tickets() -> None:
    answers = RunningAnswers()
    answers.begin("a")
    answers.begin("b")
    answers.stop("a")
    assert [answers.is_running(name) for name in "abc"] == [False, True, False]
    assert [answers.is_stopped(name) for name in "abc"] == [True, False, False]
