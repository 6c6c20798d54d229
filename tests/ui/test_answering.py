"""Answers, statistics and heartbeats on their way to the page, without server or browser."""

import pickle
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image
from support.fake_engine import FakeEngine, MeasuredEngine

from phi3v.request import Chunk, Phase, Request, Sampling, Statistics, Turn
from phi3v.tasks import DESCRIBE
from phi3v.ui import words
from phi3v.ui.answering import (
    describe_figures,
    estimate_seconds,
    make_stream,
    name_phase,
    write_answer,
)
from phi3v.ui.chat.conversation import Chat
from phi3v.ui.chat.events import give_answer
from phi3v.ui.i18n.languages import ENGLISH


def give(question: str, **sampling: Any) -> list[Any]:
    picture = Image.new("RGB", (4, 3))
    chat = Chat((Turn("user", question, (picture,)),), "ticket")
    values = {"max_new_tokens": 8, "temperature": 0, "top_p": 1, "seed": -1, "num_crops": "auto"}
    stream = make_stream(FakeEngine(), None)
    return list(give_answer(DESCRIBE, stream, chat, *(values | sampling).values()))


def test_an_answer_ends_complete_with_its_figures() -> None:
    answer, messages, figures = give("Which?")[-1]
    assert answer.is_complete
    assert answer.text == "1 pictures (4 x 3). Turn 1: Which? "
    assert messages[-1] == {"role": "assistant", "content": answer.text}
    assert "64 of them image · complete" in figures


def test_an_answer_that_is_cut_says_so_and_keeps_its_tokens() -> None:
    answer, _, figures = give("say one two three", max_new_tokens=2)[-1]
    assert (answer.finish_reason, answer.token_ids) == ("length", (0, 1))
    assert "Continue adds the rest" in figures


def test_a_continued_answer_is_shown_with_its_earlier_text() -> None:
    engine = FakeEngine()
    turns = (Turn("user", "say one two three"), Turn("assistant", "one two"))
    chat = Chat(turns, "ticket", is_continued=True)
    steps = give_answer(DESCRIBE, make_stream(engine, None), chat, 8, 0, 1, -1, "auto")
    answer, messages, _ = list(steps)[-1]
    assert answer.text == " three"
    assert messages[-1]["content"] == "one two three"
    assert engine.requests[0].is_continued
    assert engine.requests[0].ends_loops


def test_a_chat_that_may_repeat_itself_does_not_end_loops() -> None:
    engine = FakeEngine()
    chat = Chat((Turn("user", "?"), Turn("assistant", "1")), "ticket", True, ends_loops=False)
    list(give_answer(DESCRIBE, make_stream(engine, None), chat, 8, 0, 1, -1, "auto"))
    assert not engine.requests[0].ends_loops


def test_what_the_engine_refuses_is_shown(warnings: list[str]) -> None:
    give("refuse")
    assert warnings == ["The prompt has 5000 tokens, the limit is 4000: use fewer pictures."]


def test_a_failure_is_reported_in_plain_words_and_logged(
    warnings: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    give("break")
    assert "written to the log" in warnings[0]
    assert "secret" not in warnings[0]
    assert "a secret from the inside" in caplog.text


def test_sampling_out_of_range_is_shown(warnings: list[str]) -> None:
    give("Which?", temperature=9)
    assert "temperature is 9" in warnings[0]


def test_a_negative_seed_is_none_and_auto_crops_are_left_to_the_engine() -> None:
    engine = FakeEngine()
    chat = Chat((Turn("user", "?", (Image.new("RGB", (4, 3)),)),), "ticket")
    list(give_answer(DESCRIBE, make_stream(engine, None), chat, 8, 0.7, 0.9, -1, "auto"))
    list(give_answer(DESCRIBE, make_stream(engine, None), chat, 8, 0.7, 0.9, 3, "4"))
    assert engine.requests[0].sampling == Sampling(8, 0.7, 0.9, None)
    assert [request.sampling.seed for request in engine.requests] == [None, 3]
    assert [request.num_crops for request in engine.requests] == [None, 4]


def test_closing_an_answer_closes_the_engines_stream() -> None:
    engine = FakeEngine()
    answer = write_answer(make_stream(engine, None), Request((Turn("user", "slow"),)))
    next(answer)
    assert engine.running == 1
    answer.close()
    assert engine.running == 0


def test_heartbeats_reach_the_page() -> None:
    answer = write_answer(make_stream(FakeEngine(), None), Request((Turn("user", "silent"),)))
    assert next(answer)[0] == ""
    assert next(answer)[0] == ""
    answer.close()


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("loading", words.LOADING),
        ("waiting", "Waiting in the queue: position 2 of 3…"),
        ("preparing", "Opening image 2 of 3…"),
        ("encoding", "Reading image 2 of 3…"),
        ("prefill", "Reading the question…"),
        ("answering", "Reading the question…"),
    ],
)
def test_every_phase_before_the_first_word_is_named(phase: Phase, expected: str) -> None:
    assert name_phase(Chunk("", phase=phase, number=2, total=3)) == expected


def test_heartbeats_send_no_update() -> None:
    chat = Chat((Turn("user", "silent"),), "ticket")
    steps = give_answer(DESCRIBE, make_stream(FakeEngine(), None), chat, 8, 0, 1, None, "auto")
    _, messages, figures = next(steps)
    assert (messages[0]["content"], figures) == ("silent", words.READING_QUESTION)
    assert next(steps) == (gr.skip(),) * 3
    steps.close()


def test_on_a_space_every_request_asks_for_a_gpu_at_once() -> None:
    asked = []

    def on_gpu(duration):
        return lambda function: lambda *arguments: asked.append(1) or function(*arguments)

    stream = make_stream(FakeEngine(), on_gpu)
    streams = [stream(Request((Turn("user", "slow"),))) for _ in range(3)]
    for one in streams:
        next(one)
    assert len(asked) == 3
    for one in streams:
        one.close()


def test_on_a_space_no_gpu_is_asked_for_what_cannot_be_answered(tmp_path: Path) -> None:
    def on_gpu(duration):
        def refuse(*arguments):
            raise AssertionError("a GPU was asked for")

        return lambda function: refuse

    stream = make_stream(MeasuredEngine(context_length=400), on_gpu)
    broken = tmp_path / "broken.png"
    broken.write_text("Dear diary")
    with pytest.raises(gr.Error, match="not a picture"):
        next(stream(Request((Turn("user", "?", (broken,)),))))
    with pytest.raises(gr.Error, match="context holds 400"):
        next(stream(Request((Turn("user", "why " * 400),))))


def test_gpu_time_grows_with_pictures_and_tokens() -> None:
    picture = Image.new("RGB", (4, 4))
    short = Request((Turn("user", "?", (picture,)),), Sampling(max_new_tokens=64))
    long = Request((Turn("user", "?", (picture,) * 4),), Sampling(max_new_tokens=512))
    longest = Request((Turn("user", "?", (picture,) * 9),), Sampling(max_new_tokens=9999))
    seconds = [estimate_seconds(request, ENGLISH) for request in (short, long, longest)]
    assert seconds == [15, 44, 120]


def test_on_a_space_a_gpu_is_allocated_for_answers_only() -> None:
    durations = []

    def on_gpu(duration):
        def decorate(function):
            def wrapper(*arguments):
                # A Space pickles arguments and chunks between its process and the one with the GPU.
                for chunk in function(*pickle.loads(pickle.dumps(arguments))):
                    yield pickle.loads(pickle.dumps(chunk))

            durations.append(duration)
            return wrapper

        return decorate

    stream = make_stream(FakeEngine(), on_gpu)
    request = Request((Turn("user", "Which?", (Image.new("RGB", (4, 3)),)),))
    *_, (text, _) = write_answer(stream, request)
    assert text.startswith("1 pictures (4 x 3)")
    assert durations == [estimate_seconds]


def test_statistics_are_described_in_one_line() -> None:
    statistics = Statistics(400, 313, 20, 0.5, 12.34, "length")
    assert describe_figures(statistics) == (
        "First token after 0.50 s · 12.3 tokens/s · 20 new tokens · 400 in the prompt, "
        "313 of them image · cut at the longest answer allowed"
    )
