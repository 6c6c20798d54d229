"""Documents read page by page: results, problems, continuation, unsure words, files."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from support.fake_engine import FakeEngine

from phi3v.request import Chunk, RequestError, Sampling, Statistics, Token
from phi3v.results.formats import format_answer
from phi3v.ui.answering import make_stream
from phi3v.ui.ocr.events import check_files, check_more, show_progress
from phi3v.ui.ocr.reading import Reading, ReadingOptions, Result, continue_page, read_documents
from phi3v.ui.ocr.rendering import render
from phi3v.ui.ocr.results import (
    file_name,
    mark_words,
    name_choices,
    note_result,
    pad_table,
    save_all,
    save_result,
)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A PDF of three pages, a text file named .png, and an image."""
    pages = [Image.new("RGB", (40, 56), "white") for _ in range(3)]
    pages[0].save(tmp_path / "bill.pdf", save_all=True, append_images=pages[1:])
    (tmp_path / "notes.png").write_text("Dear diary\n" * 20)
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    return [str(tmp_path / name) for name in ("bill.pdf", "notes.png", "red.png")]


def read(engine, files, question="say STOP HERE", pages="", **options):
    options = ReadingOptions(question, **options)
    return list(read_documents(make_stream(engine, None), files, pages, options))


def read_cut(engine, files, most=3, question="say one two three four five"):
    """Return the reading of one image whose answer is cut at `most` tokens."""
    sampling = Sampling(max_new_tokens=most)
    return read(engine, files[2:], question, sampling=sampling)[-1].reading


def test_all_pages_are_read_in_order(engine, files) -> None:
    results = read(engine, files)[-1].reading.results
    assert [result.name for result in results] == [
        "bill.pdf, page 1", "bill.pdf, page 2", "bill.pdf, page 3", "notes.png", "red.png",
    ]  # fmt: skip
    assert [result.text for result in results] == [*["STOP HERE"] * 3, "", "STOP HERE"]


def test_a_bad_page_is_reported_and_the_others_are_read(engine, files) -> None:
    results = read(engine, files)[-1].reading.results
    assert "notes.png is not a picture but a text file" in results[3].problem
    assert [result.problem for result in results if result is not results[3]] == [""] * 4


def test_a_refused_page_is_reported_too(engine, files) -> None:
    results = read(engine, files[:1], "refuse")[-1].reading.results
    assert len(results) == 3
    assert "The prompt has 5000 tokens" in results[0].problem


def test_results_appear_page_by_page(engine, files) -> None:
    steps = read(engine, files, "say STOP", pages="2-")
    finished = [len(step.reading.results) for step in steps if not step.text]
    assert finished == sorted(finished)
    assert [step.reading.total for step in steps[:1]] == [4]
    assert steps[-1].reading.is_running is False
    assert steps[0].name == "bill.pdf, page 2"


def test_a_bad_choice_of_pages_is_refused(engine, files) -> None:
    with pytest.raises(RequestError, match="is no choice of pages"):
        read(engine, files, pages="two")


def test_comments_are_stripped_while_the_text_streams(engine, files) -> None:
    steps = read(engine, files[2:], "say The text in the image is: STOP HERE")
    assert all("STOP HERE".startswith(step.text) for step in steps)
    assert steps[-1].reading.results[0].formatted().text == "STOP HERE"


def test_a_stopped_page_keeps_its_partial_text(engine, files) -> None:
    steps = read_documents(make_stream(engine, None), files[2:], "", ReadingOptions("slow"))
    step = next(step for step in steps if step.text)
    steps.close()
    (result,) = step.reading.results
    assert (result.finish_reason, result.can_continue) == ("stopped", True)
    assert engine.ended.is_set()


def test_a_cut_answer_is_continued_where_it_ended(engine, files) -> None:
    reading = read_cut(engine, files)
    assert reading.results[0].text == "one two three"
    assert reading.results[0].can_continue
    *_, last = continue_page(make_stream(engine, None), reading, 0)
    (result,) = last.reading.results
    assert result.text == "one two three four five"
    assert "".join(token.text for token in result.tokens) == result.text
    assert not result.can_continue
    request = engine.requests[-1]
    assert request.is_continued
    assert request.turns[-1].token_ids == (0, 1, 2)


def test_a_stopped_answer_is_continued_from_its_text(engine, files) -> None:
    reading = read_cut(engine, files)
    stopped = replace(reading.results[0], tokens=(), finish_reason="stopped")
    *_, last = continue_page(make_stream(engine, None), replace(reading, results=(stopped,)), 0)
    assert last.reading.results[0].text == "one two three four five"
    assert "".join(token.text for token in last.reading.results[0].tokens).endswith(" four five")


def test_a_failed_continuation_keeps_the_earlier_text(engine, files) -> None:
    reading = read_cut(engine, files)
    broken = replace(reading.results[0], options=ReadingOptions("refuse"))
    *_, last = continue_page(make_stream(engine, None), replace(reading, results=(broken,)), 0)
    (result,) = last.reading.results
    assert result.text == "one two three"
    assert "5000 tokens" in result.problem


class LoopingEngine(FakeEngine):
    def write(self, request):
        text = "PRICE LIST\n" + "the red tea is very good\n" * 20
        yield Chunk(text)
        statistics = Statistics(10, 5, 20, 0.1, 9.0, "loop")
        yield Chunk("", statistics, tokens=(Token(1, text, 0.9),))


def test_repetition_is_shown_once_with_a_note(files) -> None:
    (result,) = read(LoopingEngine(), files[2:])[-1].reading.results
    assert result.formatted().text == "PRICE LIST\nthe red tea is very good"
    assert "repeated itself" in note_result(result)
    assert result.can_continue


def test_continuing_after_repetition_allows_it(files) -> None:
    engine = LoopingEngine()
    reading = read(engine, files[2:])[-1].reading
    list(continue_page(make_stream(engine, None), reading, 0))
    assert [request.ends_loops for request in engine.requests] == [True, False]


def test_a_comment_in_place_of_text_becomes_a_note(engine, files) -> None:
    (result,) = read(engine, files[2:], "say There is no text in this picture.")[-1].reading.results
    assert result.formatted().text == ""
    assert note_result(result).startswith("The model read no text; it says: There is no text")


def test_words_below_the_threshold_are_marked(engine, files) -> None:
    (result,) = read(engine, files[2:], "say one two three four five")[-1].reading.results
    spans, line = mark_words(result, 0.5)
    assert spans == [("one two ", None), ("three", "unsure"), (" four five", None)]
    assert line == "1 of 5 words are marked."
    assert len(mark_words(result, 0.0)[0]) == 1
    assert mark_words(result, 1.0)[1] == "5 of 5 words are marked."
    assert engine.requests[-1].wants_probabilities


def test_marked_words_keep_their_positions_when_a_comment_is_stripped(engine, files) -> None:
    question = "say The text in the image is: STOP HERE"
    (result,) = read(engine, files[2:], question)[-1].reading.results
    assert "".join(text for text, _ in mark_words(result, 1.0)[0]) == "STOP HERE"


def test_the_list_marks_pages_with_problems(engine, files) -> None:
    reading = read(engine, files, sampling=Sampling(max_new_tokens=1))[-1].reading
    names = [name for name, _ in name_choices(reading)]
    assert names[0] == "1. bill.pdf, page 1 (cut)"
    assert names[3] == "4. notes.png (not read)"


def test_an_answer_that_is_not_in_its_format_says_so(engine, files) -> None:
    (result,) = read(engine, files[2:], "say hello", output_format="json")[-1].reading.results
    assert "Not in the format asked for" in note_result(result)


def test_a_page_s_file_has_its_name_and_its_format_s_ending(engine, files, tmp_path) -> None:
    question = "say Total: 4"
    reading = read(engine, files, question, output_format="json")[-1].reading
    path = save_result(reading, 0, str(tmp_path / "cache"))
    assert Path(path).name == "001-bill.pdf-page-1.json"
    assert Path(path).read_text() == '{\n  "Total": "4"\n}'
    assert save_result(reading, 3, str(tmp_path / "cache")) is None


def test_all_pages_are_saved_as_one_zip(engine, files, tmp_path) -> None:
    reading = read(engine, files)[-1].reading
    path = save_all(reading, str(tmp_path / "cache"))
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [
            "001-bill.pdf-page-1.txt", "002-bill.pdf-page-2.txt", "003-bill.pdf-page-3.txt",
            "005-red.png.txt", "notes.txt",
        ]  # fmt: skip
        assert "notes.png is not a picture" in archive.read("notes.txt").decode()
        assert archive.read("005-red.png.txt") == b"STOP HERE"
    assert save_all(Reading(), str(tmp_path)) is None


def test_a_file_s_name_is_harmless() -> None:
    name = file_name(Result("../../etc/<passwd>" + "x" * 300), 7)
    assert "/" not in name
    assert "<" not in name
    assert len(name) < 100


def test_a_table_s_rows_are_padded_to_equal_length() -> None:
    assert pad_table([[["a", "b", "c"], ["1", "2"]]]) == [["a", "b", "c"], ["1", "2", ""]]


@pytest.mark.parametrize(
    ("output_format", "text", "expected"),
    [
        ("text", "a", 0),
        ("markdown", "# a", 1),
        ("json", '{"a": 1}', 2),
        ("csv", "a,b\n1,2", 3),
        ("json", "a", 0),
    ],
)
def test_the_view_that_fits_the_format_is_visible(output_format, text, expected) -> None:
    views = render(format_answer(text, output_format))
    assert [view.visible for view in views] == [index == expected for index in range(4)]


def test_a_page_s_name_is_escaped(engine, files) -> None:
    step = replace(read(engine, files[2:])[0], name="<b>bold</b>")
    assert "&lt;b&gt;bold" in show_progress(step)


@pytest.mark.parametrize(
    ("files", "pages", "reading", "message"),
    [
        (None, "", Reading(), "add pictures or PDFs first"),
        (["a.png"], "x", Reading(), "is no choice of pages"),
        (["a.png"], "", Reading(is_running=True), "Pages are being read"),
    ],
)
def test_a_problem_is_shown_at_its_box(files, pages, reading, message) -> None:
    problems = [
        verdict for verdict in check_files(files, pages, reading) if not verdict["is_valid"]
    ]
    assert [message in verdict["message"] for verdict in problems] == [True]


def test_only_a_cut_page_can_be_continued(engine, files) -> None:
    reading = read(engine, files[2:])[-1].reading
    assert "nothing to continue" in check_more(reading, 0)[1]["message"]
    assert check_more(read_cut(engine, files), 0)[1]["is_valid"]
