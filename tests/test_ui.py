"""What the page does with the values of its components, without a server or a browser."""

import pickle
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fake_engine import FakeEngine
from PIL import Image

from phi3v.request import Chunk, Phase, Request, RequestError, Sampling, Statistics, Turn
from phi3v.settings import Settings
from phi3v.tasks import COMPARE, DESCRIBE, OCR
from phi3v.ui import build_page, launch_options, words
from phi3v.ui.answering import (
    describe_figures,
    estimate_seconds,
    make_stream,
    name_phase,
    write_answer,
)
from phi3v.ui.conversation import (
    Answer,
    Chat,
    ask,
    ask_again,
    go_on,
    keep_shown,
    pick_new,
    settle,
    to_messages,
)
from phi3v.ui.events import check_question, give_answer
from phi3v.ui.languages import ENGLISH
from phi3v.ui.page import note_model
from phi3v.ui.pictures import add_from_address, check_pictures

ASKED = Turn("user", "What?", ("a.png",))
ANSWERED = Turn("assistant", "That.")


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the page would have shown as warnings."""
    shown: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda text, **_: shown.append(text))
    return shown


def test_the_first_question_takes_all_pictures() -> None:
    chat = ask(DESCRIBE, Chat(), ["a.png", "b.png"], "What?")
    assert chat.turns == (Turn("user", "What?", ("a.png", "b.png")),)
    assert chat.ticket


def test_a_follow_up_takes_only_the_pictures_added_since() -> None:
    chat = ask(DESCRIBE, Chat((ASKED, ANSWERED)), ["a.png", "b.png"], "And this?")
    assert chat.turns == (ASKED, ANSWERED, Turn("user", "And this?", ("b.png",)))


def test_a_picture_added_twice_is_new_the_second_time() -> None:
    assert pick_new((ASKED,), ["a.png", "a.png"]) == ("a.png",)


def test_a_removed_picture_leaves_the_conversation() -> None:
    turns = (Turn("user", "What?", ("a.png", "b.png")), ANSWERED)
    assert keep_shown(turns, ["b.png"])[0].images == ("b.png",)


def test_while_an_answer_is_written_no_other_question_is_taken() -> None:
    with pytest.raises(RequestError, match="stop it first"):
        ask(DESCRIBE, Chat((ASKED,), "ticket"), ["a.png"], "What?")


def test_retry_asks_the_last_question_again() -> None:
    assert ask_again(DESCRIBE, Chat((ASKED, ANSWERED)), ["a.png"]).turns == (ASKED,)


def test_retry_leaves_out_what_has_been_removed() -> None:
    first = Turn("user", "What?", ("a.png", "b.png"))
    chat = ask_again(DESCRIBE, Chat((first, ANSWERED)), ["b.png"])
    assert chat.turns == (Turn("user", "What?", ("b.png",)),)


def test_retry_wants_something_to_try_again() -> None:
    with pytest.raises(RequestError, match="ask something first"):
        ask_again(DESCRIBE, Chat(), [])


def test_a_whole_answer_is_put_to_its_question() -> None:
    chat = settle(Chat((ASKED,), "one"), Answer("one", "That.", is_complete=True))
    assert chat == Chat((ASKED, ANSWERED))


def test_a_stopped_answer_is_kept_as_far_as_it_came() -> None:
    assert settle(Chat((ASKED,), "one"), Answer("one", "Th")).turns[-1].text == "Th"


def test_a_question_without_a_word_of_answer_is_dropped() -> None:
    assert settle(Chat((ASKED, ANSWERED, ASKED), "one"), Answer("one")).turns == (ASKED, ANSWERED)


def test_an_answer_to_another_question_is_not_taken() -> None:
    assert settle(Chat((ASKED,), "two"), Answer("one", "Late.", is_complete=True)) == Chat()


def test_a_cut_answer_can_go_on_with_its_own_tokens() -> None:
    cut = Answer("one", "1, 2,", "", True, (5, 6), "length")
    chat = settle(Chat((ASKED,), "one"), cut)
    assert chat.can_go_on
    more = go_on(chat)
    assert (more.is_continued, more.turns) == (True, chat.turns)
    whole = settle(more, Answer(more.ticket, " 3.", "", True, (7,), "end"))
    assert whole.turns == (ASKED, Turn("assistant", "1, 2, 3."))
    assert whole.turns[-1].token_ids == (5, 6, 7)
    assert not whole.can_go_on


def test_an_answer_stopped_while_it_went_on_keeps_what_it_had() -> None:
    more = go_on(settle(Chat((ASKED,), "one"), Answer("one", "1, 2,")))
    assert settle(more, Answer()).turns[-1].text == "1, 2,"
    stopped = settle(more, Answer(more.ticket, " 3"))
    assert stopped.turns[-1].text == "1, 2, 3"
    assert stopped.turns[-1].token_ids == ()
    assert stopped.can_go_on


def test_what_ended_by_itself_does_not_go_on() -> None:
    chat = settle(Chat((ASKED,), "one"), Answer("one", "That.", "", True, (5,), "end"))
    with pytest.raises(RequestError, match="ended by itself"):
        go_on(chat)


def test_pictures_are_numbered_over_the_whole_conversation() -> None:
    later = Turn("user", "And these?", ("b.png", "c.png"))
    messages = to_messages((ASKED, ANSWERED, later), is_verbatim=False)
    assert messages[0]["content"] == "Image 1\nWhat?"
    assert messages[2]["content"] == "Image 2, Image 3\nAnd these?"


def test_what_a_user_typed_is_shown_as_typed() -> None:
    messages = to_messages((Turn("user", "<b> &amp; <|end|> 1 < 2 & 3"),), is_verbatim=False)
    assert messages[0]["content"] == "&lt;b> &amp;amp; <|end|> 1 < 2 & 3"


def test_a_verbatim_answer_is_shown_letter_by_letter() -> None:
    turns = (Turn("assistant", "<b>AT&T</b>"),)
    assert to_messages(turns, is_verbatim=True)[0]["content"] == "&lt;b>AT&T&lt;/b>"
    assert to_messages(turns, is_verbatim=False)[0]["content"] == "<b>AT&T</b>"


def test_a_verbatim_answer_is_shown_without_a_comment() -> None:
    turns = [Turn("assistant", "The text in the image is: STOP")]
    assert to_messages(turns, is_verbatim=True)[0]["content"] == "STOP"
    assert to_messages(turns, is_verbatim=False)[0]["content"] == turns[0].text
    begun = [Turn("assistant", "The text in the im")]
    assert to_messages(begun, is_verbatim=True, is_whole=False)[0]["content"] == ""


def test_new_pictures_are_checked_and_numbered(tmp_path: Path, warnings: list[str]) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.new("RGB", (4, 4)).save(good)
    bad.write_bytes(b"text" * 30)
    shown = check_pictures([(str(good), "Image 1"), (str(bad), None), (str(good), None)])
    assert shown == [(str(good), "Image 1"), (str(good), "Image 2")]
    assert warnings == [
        "bad.png is not a picture but a text file: give JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF."
    ]


def test_numbered_pictures_are_left_alone() -> None:
    assert check_pictures([("a.png", "Image 1"), ("b.png", "Image 2")]) == gr.skip()


def test_after_a_removal_pictures_are_numbered_anew() -> None:
    assert check_pictures([("b.png", "Image 2")]) == [("b.png", "Image 1")]


def test_a_picture_no_browser_shows_is_converted(tmp_path: Path) -> None:
    scan = tmp_path / "scan.tif"
    Image.new("CMYK", (4, 4)).save(scan)
    ((picture, _),) = check_pictures([(str(scan), None)])
    assert picture.mode == "RGB"


def test_a_bad_address_stays_in_its_box(warnings: list[str]) -> None:
    pictures, address = add_from_address(1000, [("a.png", "Image 1")], "http://127.0.0.1/x.png")
    assert pictures == address == gr.skip()
    assert "not on the public internet" in warnings[0]


def test_an_empty_address_is_told(warnings: list[str]) -> None:
    add_from_address(1000, None, " ")
    assert warnings == ["Type or paste a picture's address first."]


def test_compare_with_one_picture_says_so_below_the_question() -> None:
    *_, verdict = check_question(COMPARE, Chat(), [("a.png", "Image 1")], "")
    assert verdict["is_valid"] is False
    assert "there is only 1" in verdict["message"]


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
    assert "Continue goes on where it ended" in figures


def test_an_answer_that_goes_on_is_shown_with_what_it_had() -> None:
    engine = FakeEngine()
    turns = (Turn("user", "say one two three"), Turn("assistant", "one two"))
    chat = Chat(turns, "ticket", is_continued=True)
    steps = give_answer(DESCRIBE, make_stream(engine, None), chat, 8, 0, 1, -1, "auto")
    answer, messages, _ = list(steps)[-1]
    assert answer.text == " three"
    assert messages[-1]["content"] == "one two three"
    assert engine.requests[0].is_continued


def test_what_the_engine_refuses_is_shown(warnings: list[str]) -> None:
    give("refuse")
    assert warnings == ["The prompt has 5000 tokens, the limit is 4000: use fewer pictures."]


def test_a_failure_is_told_in_plain_words_and_logged(
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


def test_signs_of_life_reach_the_page() -> None:
    answer = write_answer(make_stream(FakeEngine(), None), Request((Turn("user", "silent"),)))
    assert next(answer)[0] == ""
    assert next(answer)[0] == ""
    answer.close()


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("loading", words.LOADING),
        ("waiting", "Waiting for its turn: number 2 of 3 in line…"),
        ("preparing", "Opening image 2 of 3…"),
        ("encoding", "Reading image 2 of 3…"),
        ("prefill", "Reading the question…"),
        ("answering", "Reading the question…"),
    ],
)
def test_every_phase_before_the_first_word_is_named(phase: Phase, expected: str) -> None:
    assert name_phase(Chunk("", phase=phase, number=2, total=3)) == expected


def test_signs_of_life_send_nothing_anew() -> None:
    chat = Chat((Turn("user", "silent"),), "ticket")
    steps = give_answer(DESCRIBE, make_stream(FakeEngine(), None), chat, 8, 0, 1, None, "auto")
    _, messages, figures = next(steps)
    assert (messages[0]["content"], figures) == ("silent", words.READING_QUESTION)
    assert next(steps) == (gr.skip(),) * 3
    steps.close()


def test_on_a_space_requests_wait_in_line_before_a_gpu_is_lent(tmp_path: Path) -> None:
    engine = FakeEngine()
    stream = make_stream(engine, lambda duration: lambda function: function)
    first, second, third = (stream(Request((Turn("user", "slow"),))) for _ in range(3))
    assert next(first).text == "word1 "
    places = [(chunk.phase, chunk.number, chunk.total) for chunk in map(next, (second, third))]
    assert places == [("waiting", 1, 1), ("waiting", 2, 2)]
    broken = tmp_path / "broken.png"
    broken.write_text("Dear diary")
    with pytest.raises(gr.Error, match="not a picture"):
        next(stream(Request((Turn("user", "?", (broken,)),))))
    second.close()
    first.close()
    assert next(third).text == "word1 "
    third.close()
    assert engine.running == 0


def test_a_gpu_is_asked_for_longer_for_more_pictures_and_tokens() -> None:
    picture = Image.new("RGB", (4, 4))
    short = Request((Turn("user", "?", (picture,)),), Sampling(max_new_tokens=64))
    long = Request((Turn("user", "?", (picture,) * 4),), Sampling(max_new_tokens=512))
    longest = Request((Turn("user", "?", (picture,) * 9),), Sampling(max_new_tokens=9999))
    seconds = [estimate_seconds(request, ENGLISH) for request in (short, long, longest)]
    assert seconds == [15, 44, 120]


def test_on_a_space_a_gpu_is_lent_for_each_answer_and_nothing_else() -> None:
    lent = []

    def on_gpu(duration):
        def decorate(function):
            def wrapper(*arguments):
                # A Space sends both through a pipe to the process that has the GPU.
                for chunk in function(*pickle.loads(pickle.dumps(arguments))):
                    yield pickle.loads(pickle.dumps(chunk))

            lent.append(duration)
            return wrapper

        return decorate

    stream = make_stream(FakeEngine(), on_gpu)
    request = Request((Turn("user", "Which?", (Image.new("RGB", (4, 3)),)),))
    *_, (text, _) = write_answer(stream, request)
    assert text.startswith("1 pictures (4 x 3)")
    assert lent == [estimate_seconds]


def test_the_figures_of_an_answer_are_one_line() -> None:
    statistics = Statistics(400, 313, 20, 0.5, 12.34, "length")
    assert describe_figures(statistics) == (
        "First token after 0.50 s · 12.3 tokens/s · 20 new tokens · 400 in the prompt, "
        "313 of them image · cut at the longest answer allowed"
    )


def test_the_note_says_what_the_embedded_network_cannot_do() -> None:
    note = note_model(FakeEngine())
    assert "**fake** on cpu, float32" in note
    assert "python app.py --model microsoft/Phi-3.5-vision-instruct" in note


def test_the_note_keeps_to_itself_where_a_folder_lies(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.name = str(tmp_path)
    assert str(tmp_path.parent) not in note_model(engine)


def test_a_warning_is_no_html(warnings: list[str]) -> None:
    add_from_address(1000, None, "<b>bold</b>")
    assert warnings[0].startswith("&lt;b&gt;bold&lt;/b&gt; is no web address")


def test_the_note_on_a_real_network_has_no_excuses() -> None:
    engine = FakeEngine()
    engine.is_embedded = False
    assert note_model(engine) == "Answers come from **fake** on cpu, float32."


def test_only_the_endpoints_are_public() -> None:
    page = build_page(FakeEngine(), Settings())
    public = {fn.api_name for fn in page.fns.values() if fn.api_visibility == "public"}
    assert public == {"describe", "ocr", "compare", "chat", "estimate"}


@pytest.mark.parametrize(
    ("queue_size", "in_line", "in_queue"), [(64, 32, 33), (5, 5, 1), (1, 1, 1)]
)
def test_all_answers_wait_in_one_line(queue_size: int, in_line: int, in_queue: int) -> None:
    page = build_page(FakeEngine(), Settings(queue_size=queue_size))
    lines = [fn for fn in page.fns.values() if fn.concurrency_id == "engine"]
    # ask, retry, edit, example and Continue of each tab, and the endpoints that answer
    assert len(lines) == 3 * 5 + 4
    assert {fn.concurrency_limit for fn in lines} == {in_line}
    # one of those in line is answered and waits no more
    assert page._queue.max_size == in_queue == queue_size - (in_line - 1)


def test_nothing_is_recorded_or_sent_home() -> None:
    options = launch_options(Settings())
    assert options["run_history"] is False
    assert options["enable_monitoring"] is False
    assert build_page(FakeEngine(), Settings()).analytics_enabled is False


def test_the_limits_are_handed_on() -> None:
    options = launch_options(Settings(upload_limit=3, auth="me:secret"))
    assert options["max_file_size"] == 3 * 1024 * 1024
    assert options["auth"] == ("me", "secret")
    assert [Path(path).name for path in options["allowed_paths"]] == ["examples"]


def test_a_task_read_letter_by_letter_renders_no_markdown() -> None:
    page = build_page(FakeEngine(), Settings())
    chatbots = [block for block in page.blocks.values() if isinstance(block, gr.Chatbot)]
    assert [chatbot.render_markdown for chatbot in chatbots] == [
        not task.is_verbatim for task in (DESCRIBE, OCR, COMPARE)
    ]
