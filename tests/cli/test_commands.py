"""The command line: output, exit codes, and a batch that survives being killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from support.cases import make_video
from support.fake_engine import FakeEngine

from phi3v.cli import main as cli
from phi3v.cli.main import main
from phi3v.cli.printing import ERASE, phase_line
from phi3v.cli.results import ResultsFile
from phi3v.conversation.throughput import Throughput
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.request import Chunk, RequestError, Statistics
from phi3v.results.conversation_file import load_conversation
from phi3v.tasks import EXAMPLES, PRESETS

ROOT = Path(__file__).parents[2]
SIGN, POSTER = str(EXAMPLES / "sign.png"), str(EXAMPLES / "poster.png")

needs_embedded = pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "config.json").exists(),
    reason="the embedded checkpoint is not here; see training/",
)


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch) -> None:
    for name in list(os.environ):
        if name.startswith("PHI3V_"):
            monkeypatch.delenv(name)


@pytest.fixture
def engine(monkeypatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(cli, "open_engine", lambda settings: (fake, "r1"))
    return fake


def read_records(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def make_images(folder: Path, count: int) -> list[str]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:03}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("RGB", (32, 24), (number, 255 - number, 90)).save(path)
    return [str(path) for path in paths]


def test_a_pipe_gets_one_json_line_per_page(engine, capsys) -> None:
    assert main(["ocr", SIGN, POSTER]) == 0
    found = read_records(capsys)
    assert [record["name"] for record in found] == ["sign.png", "poster.png"]
    assert found[0]["text"].startswith("1 pictures")
    assert (found[0]["model"], found[0]["revision"]) == ("fake", "r1")


def test_plain_text_has_each_page_under_its_name(engine, capsys) -> None:
    assert main(["describe", SIGN, POSTER, "--plain", "--question", "What?"]) == 0
    out = capsys.readouterr().out
    assert out.index("== sign.png ==") < out.index("What?") < out.index("== poster.png ==")


def test_a_single_page_is_printed_as_text_only(engine, capsys) -> None:
    main(["ocr", SIGN, "--plain", "--question", "read <this>"])
    output = capsys.readouterr()
    assert output.out.startswith("1 pictures (")
    assert output.out.endswith("read <this>\n")
    assert output.err == ""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_shows_the_phase_until_the_first_token(capsys, monkeypatch, is_terminal) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    with phase_line() as show:
        for phase in ("waiting", "encoding", "encoding", "prefill"):
            show(Chunk("", phase=phase, number=2, total=3))
        for text in ("A", "", " word"):
            show(Chunk(text))
    expected = f"{ERASE}reading image 2 of 3{ERASE}reading the question{ERASE}"
    assert capsys.readouterr().err == (expected if is_terminal else "")


def test_pages_of_a_pdf_are_selected(engine, capsys, tmp_path) -> None:
    pages = [Image.new("RGB", (50, 70), colour) for colour in ("red", "green", "blue")]
    pages[0].save(tmp_path / "three.pdf", save_all=True, append_images=pages[1:])
    assert main(["ocr", str(tmp_path / "three.pdf"), "--pages", "2-"]) == 0
    assert [record["page"] for record in read_records(capsys)] == [2, 3]


def test_frames_of_a_video_are_described_together_with_their_times(
    engine, capsys, tmp_path
) -> None:
    clip = make_video(tmp_path / "clip.mp4")
    assert main(["describe", str(clip), SIGN, "--frames", "4"]) == 0
    video, picture = read_records(capsys)
    assert [len(request.turns[-1].images) for request in engine.requests] == [4, 1]
    assert video["name"] == "4 of 20 frames of clip.mp4"
    assert [source["page"] for source in video["sources"]] == [3, 8, 13, 18]
    assert video["sources"][1]["time"] == pytest.approx(0.7, abs=0.02)
    assert picture["name"] == "sign.png"


def test_no_more_frames_are_taken_than_the_context_holds(tmp_path) -> None:
    from phi3v.cli.answers import fit_frames
    from phi3v.cli.jobs import Plan
    from phi3v.documents.pages import find_pages
    from phi3v.request import Sampling

    pages = tuple(find_pages([make_video(tmp_path / "clip.mp4")], frames=20))
    plan = Plan("describe", "What?", "text", None, Sampling(400), None, "m", "r", "w")
    fitting = fit_frames(pages, SmallEngine(), plan)
    assert [page.number for page in fitting] == [4, 11, 17]


class SmallEngine:
    """An engine of 1,000 tokens, 150 an image."""

    throughput = Throughput()
    sized = property(lambda self: self)
    context_length = 1000
    cache_bytes_per_token = 1

    class processor:
        class tokenizer:
            added_tokens_decoder = {}

            @staticmethod
            def apply_chat_template(messages, **options) -> str:
                return messages[0]["content"]

        @staticmethod
        def count_tokens(text, sizes, num_crops) -> tuple[int, int]:
            return 20, 150 * len(sizes)


def test_what_a_folder_holds_beside_pictures_is_told_and_fails_nothing(
    engine, capsys, tmp_path
) -> None:
    make_images(tmp_path, 1)
    (tmp_path / "minutes.docx").write_text("x")
    assert main(["ocr", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 1
    assert "minutes.docx is an office document" in output.err


def test_an_empty_page_is_told_beside_its_answer(engine, capsys, tmp_path) -> None:
    Image.new("RGB", (50, 70), "white").save(tmp_path / "empty.pdf")
    assert main(["ocr", str(tmp_path / "empty.pdf")]) == 0
    assert "blank when drawn" in read_records(capsys)[0]["blank"]


def test_flags_set_the_request(engine) -> None:
    flags = "--max-new-tokens 9 --temperature 0.5 --top-p 0.8 --seed 4 --detail balanced"
    main(["describe", SIGN, *flags.split(), "--preset", "caption", "--confidence"])
    (request,) = engine.requests
    sampling = request.sampling
    assert (sampling.max_new_tokens, sampling.temperature, sampling.top_p) == (9, 0.5, 0.8)
    assert (sampling.seed, request.num_crops, request.wants_probabilities) == (4, 4, True)
    assert "one sentence" in request.turns[-1].text


@pytest.mark.parametrize(
    "preset", [preset for preset in PRESETS if preset.prompt], ids=lambda preset: preset.name
)
def test_every_preset_is_asked_by_its_name(engine, preset) -> None:
    flag = {"describe": ["--preset", preset.name], "ocr": ["--format", preset.name]}
    command = [preset.task.name, SIGN, POSTER, *flag.get(preset.task.name, [])]
    assert main([*command, "--max-new-tokens", "4"]) == 0
    assert engine.requests[-1].turns[-1].text == preset.wording(is_embedded=True)


def test_the_apps_environment_variables_are_read(engine, monkeypatch) -> None:
    monkeypatch.setenv("PHI3V_MAX_NEW_TOKENS", "33")
    main(["ocr", SIGN])
    assert engine.requests[0].sampling.max_new_tokens == 33


def test_an_answer_in_the_wrong_format_is_reported(engine, capsys) -> None:
    assert main(["ocr", SIGN, "--format", "json", "--question", "one\ntwo"]) == 0
    (record,) = read_records(capsys)
    assert "no JSON" in record["problem"]


def test_compare_asks_about_all_images_and_compares_pixels(engine, capsys) -> None:
    pair = [str(EXAMPLES / "circle.png"), str(EXAMPLES / "circle-blue.png")]
    assert main(["compare", *pair]) == 0
    (record,) = read_records(capsys)
    assert record["text"].startswith("2 pictures")
    (found,) = record["differences"]
    assert (found["pictures"], found["verdict"]) == ([1, 2], "nearly the same")
    assert found["regions"][0]["number"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ocr", "gone.png"], "gone.png is not there"),
        (["ocr", SIGN, "--pages", "x"], "no choice of pages"),
        (["compare", SIGN], "two are needed"),
        (["ocr", SIGN, "--max-new-tokens", "0"], "--max-new-tokens"),
        (["ocr", SIGN, "--temperature", "9"], "temperature is 9"),
        (["ocr", SIGN, "--temperature", "1e-45"], "choose 0 (greedy), or 0.01 to 2"),
        (
            ["ocr", SIGN, "--seed", "99999999999999999999", "--temperature", "1"],
            "choose a whole number from 0 to 18446744073709551615",
        ),
        (["ocr", SIGN, "--dtype", "int4"], "--dtype"),
        (["ocr", "http://127.0.0.1/a.png"], "not on the public internet"),
    ],
)
def test_bad_input_is_reported_and_returns_2(engine, capsys, arguments, message) -> None:
    assert main(arguments) == 2
    assert engine.requests == []
    output = capsys.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err
    assert output.out == ""


@pytest.mark.parametrize("arguments", [[], ["ocr"], ["ocr", SIGN, "--format", "xml"], ["sing"]])
def test_unknown_arguments_return_2(arguments) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(arguments)
    assert refusal.value.code == 2


def test_an_unreadable_file_is_reported_and_the_others_are_read(engine, capsys, tmp_path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG nothing")
    assert main(["ocr", SIGN, str(broken), POSTER]) == 1
    output = capsys.readouterr()
    found = [json.loads(line) for line in output.out.splitlines()]
    assert [("error" in record) for record in found] == [False, True, False]
    assert "1 of 3 could not be read" in output.err


def test_a_refused_request_is_an_error_of_its_page(engine, capsys) -> None:
    assert main(["describe", SIGN, "--question", "refuse"]) == 1
    assert "use fewer pictures" in read_records(capsys)[0]["error"]


def test_a_repetition_is_cut_and_noted(engine, capsys, monkeypatch) -> None:
    line = "the red circle stands left of it\n"

    def write(request):
        from phi3v.request import Chunk

        yield Chunk("Title\n" + line * 20)
        yield Chunk("", Statistics(10, 0, 100, 0.1, 9.0, "loop"))

    monkeypatch.setattr(engine, "write", write)
    main(["ocr", SIGN])
    (record,) = read_records(capsys)
    assert record["text"] == "Title\n" + line.strip()
    assert "repeated itself" in record["note"]


def test_progress_goes_to_standard_error(engine, capsys) -> None:
    main(["ocr", SIGN, POSTER])
    assert "[2/2] poster.png: done" in capsys.readouterr().err
    main(["ocr", SIGN, POSTER, "--quiet"])
    assert capsys.readouterr().err == ""


def test_a_second_run_skips_existing_results(engine, capsys, tmp_path) -> None:
    output = ["--output", str(tmp_path / "results.jsonl")]
    assert main(["ocr", SIGN, *output]) == 0
    assert main(["ocr", SIGN, POSTER, *output]) == 0
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["sign.png", "poster.png"]
    assert len(engine.requests) == 2
    assert "1 of 2 were in" in capsys.readouterr().err


def test_another_request_is_not_skipped(engine, tmp_path) -> None:
    output = ["--output", str(tmp_path / "results.jsonl")]
    for flags in ([], ["--format", "csv"], ["--seed", "1"], ["--detail", "fast"], []):
        main(["ocr", SIGN, *flags, *output])
    assert len(engine.requests) == 4


def test_equal_images_are_answered_once_but_have_a_line_each(engine, tmp_path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (20, 20), "red").save(tmp_path / name)
    results = tmp_path / "results.jsonl"
    for _ in range(2):
        assert main(["ocr", str(tmp_path), "--output", str(results)]) == 0
    found = [json.loads(line) for line in results.read_text().splitlines()]
    assert [record["name"] for record in found] == ["a.png", "b.png"]
    assert found[0]["text"] == found[1]["text"]
    assert len(engine.requests) == 1


def test_a_failed_page_is_retried(engine, tmp_path) -> None:
    output = ["--output", str(tmp_path / "results.jsonl")]
    for _ in range(2):
        assert main(["describe", SIGN, "--question", "refuse", *output]) == 1
    assert len(engine.requests) == 2


@pytest.mark.parametrize("end", [1, 20, -2, -1])
def test_an_incomplete_last_line_is_truncated_and_redone(engine, tmp_path, end) -> None:
    results = tmp_path / "results.jsonl"
    command = ["ocr", SIGN, POSTER, "--output", str(results)]
    main(command)
    whole = results.read_bytes()
    first, last = whole.splitlines(keepends=True)
    results.write_bytes(first + last[:end])
    assert main(command) == 0
    assert results.read_bytes() == whole


def test_a_file_that_is_no_results_file_is_left_unchanged(engine, capsys, tmp_path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("dear diary\nmore\n")
    assert main(["ocr", SIGN, "--output", str(notes)]) == 2
    assert "Line 1 of" in capsys.readouterr().err
    assert notes.read_text() == "dear diary\nmore\n"


def test_a_folder_is_refused_as_results_file(tmp_path) -> None:
    with pytest.raises(RequestError, match="cannot be written"):
        ResultsFile(tmp_path)


def test_a_chat_keeps_its_turns_and_can_be_saved(engine, capsys, monkeypatch, tmp_path) -> None:
    target = tmp_path / "talk.zip"
    lines = iter(["What is it?", f"/add {POSTER}", "And this?", f"/save {target}", "/add gone"])

    def read(prompt):
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    assert main(["chat", SIGN]) == 0
    output = capsys.readouterr()
    assert "2 pictures" in output.out
    assert "gone is not there" in output.err
    conversation = load_conversation(target)
    assert [turn.text for turn in conversation.turns][::2] == ["What is it?", "And this?"]
    assert [len(turn.images) for turn in conversation.turns] == [1, 0, 1, 0]
    assert conversation.revision == "r1"


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys; sys.argv = ['-m', '--help']\n"
        "from phi3v.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'gradio', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


def start(folder: Path, results: Path) -> subprocess.Popen:
    flags = "--model embedded --max-new-tokens 2 --detail fast".split()
    return subprocess.Popen(
        [sys.executable, "-m", "phi3v", "ocr", str(folder), *flags, "--output", str(results)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_after(process: subprocess.Popen, results: Path, lines: int) -> bytes:
    """Kill a batch once its results file has this many lines; return the file's bytes."""
    try:
        deadline = time.monotonic() + 300
        while not results.exists() or results.read_bytes().count(b"\n") < lines:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline, "the batch did not come so far"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    return results.read_bytes()


@needs_embedded
def test_a_killed_batch_of_200_resumes_without_loss_or_repeats(tmp_path) -> None:
    pictures = make_images(tmp_path / "pictures", 200)
    results = tmp_path / "results.jsonl"
    before = kill_after(start(tmp_path / "pictures", results), results, 90)
    done = before.count(b"\n")
    assert 90 <= done < 200
    results.write_bytes(before + b'{"key": "torn')  # a kill comes at any byte
    _, errors = (process := start(tmp_path / "pictures", results)).communicate(timeout=600)
    assert process.returncode == 0, errors
    assert f"{done} of 200 were in {results} already" in errors
    assert results.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    records = [json.loads(line) for line in results.read_text().splitlines()]
    assert [record["name"] for record in records] == [Path(picture).name for picture in pictures]
    assert len({record["key"] for record in records}) == 200
