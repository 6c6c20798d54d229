"""Public sets are read and scored as documented, and one command proves a checkpoint."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from support.fake_engine import FakeEngine
from support.golden import ROOT

from benchmarks import published
from benchmarks.published import PHRASE, TUTORIALS, answer_item, main, print_table, run_set
from benchmarks.published_sets import (
    Item,
    PublishedSet,
    read_questions,
    read_transcriptions,
    score_anls,
    score_relaxed,
    score_set,
    score_text,
)
from phi3v.request import RequestError
from phi3v.tasks import EXAMPLES

CHARTQA = {"imgname": "a.png", "query": "How many?", "label": "12"}
DOCVQA = {"image": "a.png", "question": "How many?", "answers": ["ITC Limited", "itc", "itc"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the pictures a.png and b.png."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30), "white").save(tmp_path / name)
    return tmp_path


def write_lines(file: Path, *records: object) -> Path:
    """Write a file of JSON Lines; texts are lines as they are."""
    lines = (record if isinstance(record, str) else json.dumps(record) for record in records)
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize(
    ("record", "answers", "measure"),
    [
        (CHARTQA, ("12",), "relaxed accuracy"),
        ({**CHARTQA, "label": ["12"]}, ("12",), "relaxed accuracy"),
        ({"image": "a.png", "question": "How many?", "answer": 12}, ("12",), "relaxed accuracy"),
        (DOCVQA, ("ITC Limited", "itc"), "ANLS"),
    ],
)
def test_both_spellings_of_the_keys_are_read(folder, record, answers, measure) -> None:
    found = read_questions(write_lines(folder / "set.jsonl", record))
    item = Item("set.jsonl, line 1", folder / "a.png", "How many?", answers)
    assert found == PublishedSet(str(folder / "set.jsonl"), measure, (item,), ())


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([CHARTQA, CHARTQA], indent=1),
        json.dumps({"dataset_name": "any", "data": [CHARTQA, CHARTQA]}),
        f"{json.dumps(CHARTQA)}\n\n{json.dumps(CHARTQA)}\n",
        "\ufeff" + json.dumps([CHARTQA, CHARTQA]),
    ],
)
def test_a_json_file_may_hold_a_list_data_or_lines(folder, text) -> None:
    (folder / "set.json").write_text(text, "utf-8")
    found = read_questions(folder)
    assert [item.question for item in found.items] == ["How many?"] * 2
    assert found.problems == ()


def test_a_folder_s_files_are_read_by_name_with_pictures_in_png(tmp_path) -> None:
    (tmp_path / "png").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "png" / "a.png")
    write_lines(tmp_path / "test_human.json", json.dumps([CHARTQA]))
    write_lines(tmp_path / "test_augmented.json", json.dumps([CHARTQA]))
    picture = tmp_path / "png" / "a.png"
    assert [(item.name, item.image) for item in read_questions(tmp_path).items] == [
        ("test_augmented.json, record 1", picture),
        ("test_human.json, record 1", picture),
    ]


def test_broken_lines_are_named_and_the_others_are_read(folder) -> None:
    file = write_lines(
        folder / "set.jsonl",
        '{"image": "a.png", "quest',
        "[1]",
        '"text"',
        {**CHARTQA, "imgname": 3},
        {**CHARTQA, "imgname": "x" * 5000},
        {**CHARTQA, "query": " "},
        {**CHARTQA, "label": [None, ""]},
        {**CHARTQA, "imgname": "gone.png"},
        CHARTQA,
    )
    found = read_questions(file)
    assert [item.name for item in found.items] == ["set.jsonl, line 9"]
    expected = [
        *("no JSON", "no object", "no object"),
        *2 * ("no file name as image or imgname",),
        "no text as question or query",
        "no text or number as answers or answer or label",
        "there is no picture gone.png beside set.jsonl",
    ]
    for number, (problem, words) in enumerate(zip(found.problems, expected, strict=True), 1):
        assert problem.startswith(f"set.jsonl, line {number}: {words}")


def test_a_file_that_is_no_json_is_named_and_the_others_are_read(folder) -> None:
    (folder / "bad.json").write_text("[{")
    (folder / "odd.jsonl").write_bytes(b"\xff\xfe\x00")
    write_lines(folder / "set.jsonl", CHARTQA)
    found = read_questions(folder)
    assert len(found.items) == 1
    assert found.problems[0].startswith("bad.json, as a whole: no JSON")
    assert found.problems[1] == "odd.jsonl: not encoded as UTF-8"


def test_pictures_are_paired_with_the_texts_beside_them(folder) -> None:
    (folder / "b.txt").write_text(" One \r\ntwo\n\n", "utf-8")
    for name, content in (("c", b""), ("d", b"\xff"), ("e.f", b"dotted")):
        shutil.copy(folder / "a.png", folder / f"{name}.png")
        (folder / f"{name}.txt").write_bytes(content)
    found = read_transcriptions(folder)
    assert found.measure == "character error rate"
    assert [(item.name, item.answers) for item in found.items] == [
        ("b.png", ("One\ntwo",)),
        ("e.f.png", ("dotted",)),
    ]
    assert found.problems == (
        "a.png: there is no a.txt beside it",
        "c.txt: empty",
        "d.txt: not encoded as UTF-8",
    )
    assert read_transcriptions(folder / "b.png").items == found.items[:1]


def test_questions_about_print_are_recognized_beside_a_readme(folder) -> None:
    write_lines(folder / "set.jsonl", DOCVQA)
    (folder / "README.txt").write_text("about this set")
    assert read_transcriptions(folder).measure == "ANLS"


@pytest.mark.parametrize("read", [read_questions, read_transcriptions])
def test_a_set_without_items_says_what_is_expected(folder, read) -> None:
    with pytest.raises(RequestError, match="There is no folder or file .*gone"):
        read(folder / "gone")
    with pytest.raises(RequestError, match=r"\.txt|\.jsonl"):
        read(folder)
    with pytest.raises(RequestError, match=r"1 skipped; the first: set.jsonl, line 1: no JSON"):
        read(write_lines(folder / "set.jsonl", "{"))


def test_relaxed_accuracy_allows_five_percent_on_numbers_only() -> None:
    right = [("40", "38.1"), ("38%", "0.38"), ("0.0", "0"), ("Dark Blue.", "dark blue")]
    wrong = [("40.1", "38.1"), ("-38", "38"), ("0.01", "0"), ("blue", "dark blue")]
    wrong += [("about 38", "38"), ("nan", "12"), ("", "12")]
    for answer, wanted in right + wrong:
        expected = float((answer, wanted) in right)
        assert score_relaxed(answer, (wanted,)) == expected, (answer, wanted)


def test_anls_takes_the_nearest_answer_that_is_not_another_one() -> None:
    several = ("other", "ITC Limited")
    assert score_anls("itc  LIMITED", several) == 1
    assert score_anls("itc limitet", several) == pytest.approx(10 / 11)
    assert score_anls("abcx", ("abcd",)) == 0.75
    assert score_anls("abxx", ("abcd",)) == 0  # a distance of one half is another answer
    assert score_anls("", ("abcd",)) == 0


def test_transcriptions_are_scored_without_comments_around_them() -> None:
    wanted = ("WELCOME\nHOME",)
    assert score_text("WELCOME\n HOME ", wanted) == 0
    assert score_text('The text in the image is: "WELCOME\nHOME"', wanted) == 0
    assert score_text("WELCOMES\nHOME", wanted) == pytest.approx(1 / 12)
    assert score_text("There is no text in the image.", wanted) == 1
    assert score_text("", wanted) == 1


def test_the_error_rate_of_a_set_counts_characters_and_other_scores_count_items() -> None:
    scored = [(Item("", Path(), "", ("x" * 30,)), 0.0), (Item("", Path(), "", ("x" * 10,)), 0.4)]
    assert score_set("character error rate", scored) == pytest.approx(0.1)
    assert score_set("ANLS", scored) == pytest.approx(0.2)
    assert score_set("ANLS", []) is None


def make_set(folder: Path, *questions: str) -> PublishedSet:
    """A set of questions about a.png, whose answer is 38."""
    items = (Item(question, folder / "a.png", question, ("38",)) for question in questions)
    return PublishedSet("charts", "relaxed accuracy", tuple(items), ("set.jsonl, line 9: bad",))


def test_a_limit_takes_the_first_items_in_order(folder) -> None:
    engine = FakeEngine()
    result = run_set(engine, make_set(folder, "say 38", "say 50", "say 38"), 2)
    assert [case.answer for case in result.cases] == ["38", "50"]
    assert result.score == 0.5
    assert [request.sampling.temperature for request in engine.requests] == [0, 0]


def test_a_refused_request_is_wrong_and_a_damaged_picture_is_skipped(folder, capsys) -> None:
    damaged = folder / "b.png"
    damaged.write_bytes(damaged.read_bytes()[:50])
    charts = make_set(folder, "say 38", "refuse")
    item = Item("set.jsonl, line 3", damaged, "say 38", ("38",))
    charts = PublishedSet("charts", charts.measure, (*charts.items, item), charts.problems)
    result = run_set(FakeEngine(), charts, None)
    assert result.score == 0.5
    assert "the limit is 4000" in result.cases[1].problem
    places = [problem.partition(": ")[0] for problem in result.skipped]
    assert places == ["set.jsonl, line 9", "set.jsonl, line 3"]
    print_table([result])
    printed = capsys.readouterr().out
    assert "charts: not answered: refuse: " in printed
    assert "charts: skipped: set.jsonl, line 3: b.png" in printed
    assert "| charts | relaxed accuracy | 50.0 | 1 | 1 | 2 |" in printed


def test_published_checkpoints_are_asked_for_a_phrase(folder) -> None:
    engine = FakeEngine()
    item = Item("one", folder / "a.png", "Which?", ("38",))
    for engine.is_embedded in (True, False):
        answer_item(engine, item, "relaxed accuracy")
    questions = [request.turns[0].text for request in engine.requests]
    assert questions == ["Which?", "Which?" + PHRASE]


def test_a_tutorial_s_known_words_are_whole_and_in_any_case() -> None:
    chart, book, pair = TUTORIALS
    assert book.find_missing('It is "Alone" by MORGAN\nMAXWELL.') == []
    assert book.find_missing("It is ALONE.") == ["1 more of: Morgan Maxwell"]
    assert pair.find_missing("Both say OPENED.") == ["2 more of: OPEN, CLOSED"]
    assert chart.find_missing("Revenue from 2021 to 2024: 38 at first, 17 at last.") == []
    assert chart.find_missing("Revenue from 2021 to 2024.") == ["2 more of: 24, 38, 31, 17"]


def test_one_command_proves_the_embedded_checkpoint_and_writes_it_down(tmp_path, capsys) -> None:
    signs, charts, out = tmp_path / "signs", tmp_path / "charts", tmp_path / "results.json"
    signs.mkdir()
    charts.mkdir()
    for name, text in (("poster", "WELCOME\nHOME"), ("sign", "COFFEE\nAND TEA")):
        shutil.copy(EXAMPLES / f"{name}.png", signs)
        (signs / f"{name}.txt").write_text(text)
    shutil.copy(EXAMPLES / "revenue.png", charts)
    record = {"imgname": "revenue.png", "query": "Which bar is the highest?", "label": "2022"}
    write_lines(charts / "test.jsonl", record, record, "{")
    arguments = ["embedded", "--device", "cpu", "--limit", "1", "--out", str(out)]
    assert main([*arguments, "--ocr", str(signs), "--charts", str(charts)]) == 0
    printed = capsys.readouterr().out
    assert "3 of 3 tutorials passed" in printed
    assert "| 1 | 0 | 1 |" in printed
    results = json.loads(out.read_text("utf-8"))
    assert (results["model"], results["device"], results["limit"]) == ("embedded", "cpu", 1)
    assert len(results["revision"]) == 40
    assert {"dtype", "date", "machine"} < set(results)
    assert results["is_whole"]
    assert all(tutorial["passed"] for tutorial in results["tutorials"])
    ocr, chart = results["sets"]
    assert [case["name"] for case in ocr["cases"]] == ["poster.png"]
    assert ocr["score"] < 0.2
    assert chart["cases"][0]["answer"]
    assert chart["cases"][0]["wanted"] == ["2022"]
    assert len(chart["skipped"]) == 1


@pytest.fixture
def fake_model(monkeypatch) -> None:
    """The embedded checkpoint is a FakeEngine."""
    engine = FakeEngine()
    engine.name, engine.device = "embedded", torch.device("cpu")
    monkeypatch.setattr(published, "load", lambda *_: engine)


@pytest.mark.usefixtures("fake_model")
def test_a_wrong_answer_to_a_tutorial_fails_the_command(capsys) -> None:
    assert main(["embedded"]) == 1
    assert "book: FAILED, lacks 2 more of: ALONE, Morgan Maxwell" in capsys.readouterr().out


@pytest.mark.usefixtures("fake_model")
def test_a_run_that_breaks_off_keeps_what_it_finished(folder) -> None:
    good = write_lines(folder / "good.jsonl", {**CHARTQA, "query": "say 12"})
    bad = write_lines(folder / "bad.jsonl", {**CHARTQA, "query": "break"})
    out = folder / "results.json"
    with pytest.raises(RuntimeError):
        main(["embedded", "--charts", str(good), "--charts", str(bad), "--out", str(out)])
    results = json.loads(out.read_text("utf-8"))
    assert not results["is_whole"]
    assert [(part["path"], part["score"]) for part in results["sets"]] == [(str(good), 1)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no/such/model", "--ocr", "gone"], "There is no folder or file gone"),
        (["no/such/model", "--out", "gone/results.json"], "cannot be written"),
        (["no/such/model"], "There is no checkpoint folder"),
    ],
)
def test_what_cannot_be_used_is_said_before_a_model_loads(arguments, words, capsys) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_the_command_imports_no_gradio() -> None:
    code = "import sys, benchmarks.published; print('gradio' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
