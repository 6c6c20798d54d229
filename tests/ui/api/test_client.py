"""The API of a running server, called through gradio_client."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image, ImageDraw
from support.fake_engine import FakeEngine, MeasuredEngine
from support.serving import connect, serve

from phi3v import load
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.request import Sampling, Turn
from phi3v.settings import Settings
from phi3v.tasks import COMPARE, DESCRIBE, OCR, PRESETS, find_preset

needs_embedded = pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "config.json").exists(),
    reason="the embedded checkpoint is not here; see training/",
)


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return MeasuredEngine()


@pytest.fixture(scope="module")
def url(engine: FakeEngine) -> Iterator[str]:
    with serve(engine) as address:
        yield address


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return connect(url)


def draw(folder: Path, colour: str, size: tuple[int, int] = (40, 30)) -> object:
    path = folder / f"{colour.strip('#')}.png"
    Image.new("RGB", size, colour).save(path)
    return handle_file(path)


def test_the_endpoints_are_named_and_typed(client: Client) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/describe", "/ocr", "/compare", "/chat", "/estimate"}
    for name in ("/describe", "/ocr", "/compare"):
        endpoint = endpoints[name]
        names = [parameter["parameter_name"] for parameter in endpoint["parameters"]]
        more = ["output_format"] if name == "/ocr" else []
        assert names == ["images", "prompt", "max_new_tokens", *more, "frames"]
        images, prompt, tokens = endpoint["parameters"][:3]
        assert images["python_type"]["type"] == "list[filepath]"
        assert not images["parameter_has_default"]
        assert (prompt["python_type"]["type"], prompt["parameter_default"]) == ("str", "")
        assert (tokens["python_type"]["type"], tokens["parameter_default"]) == ("int", 512)
        assert [value["python_type"]["type"] for value in endpoint["returns"]] == ["str"]


def test_ocr_s_output_format_is_a_choice_that_may_be_left_out(client: Client) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    output_format = endpoints["/ocr"]["parameters"][-2]
    assert "'text', 'markdown', 'json', 'csv'" in output_format["python_type"]["type"]
    assert output_format["parameter_default"] == "text"


def test_chat_and_estimate_are_typed(client: Client) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    chat, estimate = (
        {one["parameter_name"]: one for one in endpoints[name]["parameters"]}
        for name in ("/chat", "/estimate")
    )
    assert list(chat) == ["turns", "images", "max_new_tokens", "temperature", "top_p", "seed"]
    assert [name for name, one in chat.items() if not one["parameter_has_default"]] == ["turns"]
    assert list(estimate) == ["images", "prompt", "max_new_tokens"]
    assert chat["images"]["python_type"]["type"] == "list[filepath]"


@pytest.mark.parametrize("output_format", ["markdown", "json", "csv"])
def test_a_format_asks_in_its_own_words(
    client: Client, engine: FakeEngine, tmp_path: Path, output_format: str
) -> None:
    client.predict([draw(tmp_path, "red")], output_format=output_format, api_name="/ocr")
    wording = find_preset(OCR, output_format).wording(is_embedded=True)
    assert engine.requests[-1].turns[-1].text == wording


@pytest.mark.parametrize(
    "preset",
    [preset for preset in PRESETS if preset.task is not OCR and preset.prompt],
    ids=lambda preset: preset.name,
)
def test_a_ready_question_is_asked_by_its_name(
    client: Client, engine: FakeEngine, tmp_path: Path, preset
) -> None:
    pictures = [draw(tmp_path, colour) for colour in ("red", "blue")]
    client.predict(pictures, preset.name, api_name=f"/{preset.task.name}")
    assert engine.requests[-1].turns[-1].text == preset.wording(is_embedded=True)


def test_a_comment_in_place_of_text_gives_an_empty_answer(client: Client, tmp_path: Path) -> None:
    prompt = "say There is no text in this picture."
    assert client.predict([draw(tmp_path, "red")], prompt, api_name="/ocr") == ""


def test_an_answer_is_converted_to_its_format(client: Client, tmp_path: Path) -> None:
    answer = client.predict(
        [draw(tmp_path, "red")], "Total: 4", output_format="json", api_name="/ocr"
    )
    assert json.loads(answer) == {"1 pictures (40 x 30). Turn 1": "Total: 4"}


def test_what_does_not_fit_a_format_is_told_in_the_status(client: Client, tmp_path: Path) -> None:
    picture = [draw(tmp_path, "red")]
    job = client.submit(picture, "no table here", output_format="csv", api_name="/ocr")

    async def follow() -> list:
        return [getattr(update, "log", None) async for update in job]

    logs = asyncio.run(follow())
    assert any(log and "The answer has no table" in log[0] for log in logs)


def test_ocr_strips_the_comment_from_the_first_piece_on(client: Client, tmp_path: Path) -> None:
    prompt = "say The text in the image is: STOP HERE"
    job = client.submit([draw(tmp_path, "red")], prompt, api_name="/ocr")
    pieces = list(job)
    assert pieces[-1] == "STOP HERE"
    assert all("STOP HERE".startswith(piece) for piece in pieces)


def test_a_conversation_of_several_turns_is_answered(
    client: Client, engine: FakeEngine, tmp_path: Path
) -> None:
    turns = [
        {"role": "user", "text": "What is this?", "images": [1]},
        {"role": "assistant", "text": "A red picture."},
        {"role": "user", "text": "And this?", "images": [2]},
    ]
    pictures = [draw(tmp_path, "red", (4, 3)), draw(tmp_path, "blue", (6, 5))]
    answer = client.predict(turns, pictures, 9, 0.5, 0.9, 3, api_name="/chat")
    assert answer.strip() == "2 pictures (4 x 3, 6 x 5). Turn 3: And this?"
    request = engine.requests[-1]
    assert request.sampling == Sampling(9, 0.5, 0.9, 3)
    assert request.turns[1] == Turn("assistant", "A red picture.")
    assert not request.is_continued


def test_after_an_assistant_s_turn_its_answer_is_continued(
    client: Client, engine: FakeEngine
) -> None:
    turns = [{"role": "user", "text": "Count."}, {"role": "assistant", "text": "1, 2,"}]
    client.predict(turns, api_name="/chat")
    assert engine.requests[-1].is_continued
    assert engine.requests[-1].sampling == Sampling(512)


def test_a_picture_that_no_turn_names_is_an_error_that_says_so(
    client: Client, tmp_path: Path
) -> None:
    with pytest.raises(AppError, match=r"name the pictures \[\], and 1 came"):
        client.predict([{"role": "user", "text": "?"}], [draw(tmp_path, "red")], api_name="/chat")


def test_an_estimate_is_given_for_each_detail(client: Client, tmp_path: Path) -> None:
    found = client.predict([draw(tmp_path, "red", (640, 480))], api_name="/estimate")
    assert list(found) == ["fast", "balanced", "fine", "auto"]
    fast = found["fast"]
    assert fast["pictures"] == [
        {"width": 640, "height": 480, "rows": 1, "columns": 1, "tokens": 313}
    ]
    assert fast["room"] == 4096 - fast["prompt_tokens"] - 512
    assert fast["problem"] is None


def test_what_cannot_be_estimated_says_why(tmp_path: Path) -> None:
    with serve(FakeEngine()) as url, pytest.raises(AppError, match="still loading"):
        connect(url).predict([draw(tmp_path, "red")], api_name="/estimate")


@pytest.mark.parametrize("task", [DESCRIBE, OCR], ids=lambda task: task.name)
def test_without_a_prompt_the_task_asks_its_own_question(
    client: Client, tmp_path: Path, task
) -> None:
    answer = client.predict(images=[draw(tmp_path, "red")], api_name=f"/{task.name}")
    assert answer.strip() == f"1 pictures (40 x 30). Turn 1: {task.default_prompt}"


def test_compare_takes_several_pictures_in_order(client: Client, tmp_path: Path) -> None:
    pictures = [draw(tmp_path, "red", (4, 3)), draw(tmp_path, "blue", (6, 5))]
    answer = client.predict(images=pictures, prompt="Which?", api_name="/compare")
    assert answer.strip() == "2 pictures (4 x 3, 6 x 5). Turn 1: Which?"


def test_max_new_tokens_reaches_the_engine(
    client: Client, engine: FakeEngine, tmp_path: Path
) -> None:
    client.predict(images=[draw(tmp_path, "red")], max_new_tokens=7, api_name="/ocr")
    assert engine.requests[-1].sampling.max_new_tokens == 7


def test_an_answer_comes_in_pieces_that_grow(client: Client, tmp_path: Path) -> None:
    job = client.submit(images=[draw(tmp_path, "red")], prompt="slow", api_name="/describe")
    pieces = []
    for piece in job:
        pieces.append(piece)
        if len(pieces) == 4:
            break
    job.cancel()
    assert "word1" in pieces[-1]
    assert all(later.startswith(earlier) for earlier, later in pairwise(pieces))


def test_a_cancelled_call_ends_in_the_engine(
    client: Client, engine: FakeEngine, tmp_path: Path
) -> None:
    job = client.submit(images=[draw(tmp_path, "red")], prompt="slow", api_name="/describe")
    next(iter(job))
    job.cancel()
    assert engine.ended.wait(2)


@pytest.mark.parametrize(
    ("pictures", "api_name", "message"),
    [
        ([], "/describe", "at least one picture, and none is there"),
        (["red"], "/compare", "at least two pictures, and there is only 1"),
    ],
)
def test_too_few_pictures_are_an_error_that_says_so(
    client: Client, tmp_path: Path, pictures: list[str], api_name: str, message: str
) -> None:
    with pytest.raises(AppError, match=message):
        client.predict(images=[draw(tmp_path, name) for name in pictures], api_name=api_name)


def test_a_text_file_named_png_is_an_error_that_says_so(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("Dear diary\n" * 20)
    with pytest.raises(AppError, match=r"notes\.png is not a picture but a text file"):
        client.predict(images=[handle_file(path)], api_name="/ocr")


def test_a_failure_reveals_no_details(client: Client, tmp_path: Path) -> None:
    with pytest.raises(AppError, match="written to the log") as failure:
        client.predict(images=[draw(tmp_path, "red")], prompt="break", api_name="/ocr")
    assert "secret" not in str(failure.value)


def test_20_clients_at_once_each_get_their_own_answer(
    url: str, engine: FakeEngine, tmp_path: Path
) -> None:
    colours = [f"#{number:02x}80ff" for number in range(20)]
    files = [draw(tmp_path, colour) for colour in colours]

    def call(number: int) -> str:
        one = connect(url)
        return one.predict(images=[files[number]], prompt="colours", api_name="/describe")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(call, range(20)))
    assert [re.search(r"#\w+", answer)[0] for answer in answers] == colours
    assert engine.queue == []


def test_the_calls_of_the_documentation_work(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(__file__).parents[3]
    blocks = re.findall(r"```python\n(.*?)```", (root / "docs" / "usage.md").read_text(), re.DOTALL)
    (calls,) = [block for block in blocks if "gradio_client" in block]
    monkeypatch.chdir(root)
    exec(calls.replace("http://127.0.0.1:7860", url), {})
    printed = capsys.readouterr().out
    assert "2 pictures (336 x 336, 336 x 336)" in printed
    assert "Turn 3: Who wrote it?" in printed
    assert "context_length" in printed


def test_a_full_queue_refuses_and_recovers(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serve(engine, Settings(queue_size=1)) as url:
        one = connect(url)
        picture = draw(tmp_path, "red")
        first = one.submit(images=[picture], prompt="slow", api_name="/describe")
        next(iter(first))
        second = one.submit(images=[picture], prompt="waits", api_name="/describe")
        time.sleep(0.5)
        with pytest.raises(Exception, match="[Qq]ueue is full"):
            one.predict(images=[picture], prompt="one too many", api_name="/describe")
        first.cancel()
        assert second.result(timeout=10).endswith("waits ")


def test_a_file_over_the_upload_limit_is_refused() -> None:
    with serve(FakeEngine(), Settings(upload_limit=1)) as url:
        files = {"files": ("large.png", bytes(1_100_000))}
        assert httpx.post(f"{url}gradio_api/upload", files=files).status_code == 413


@pytest.fixture(scope="module")
def embedded_url() -> Iterator[str]:
    with serve(load("embedded")) as address:
        yield address


def draw_circle(folder: Path, colour: str) -> object:
    image = Image.new("RGB", (336, 336), "white")
    ImageDraw.Draw(image).ellipse((70, 70, 266, 266), fill=colour)
    path = folder / f"{colour}.png"
    image.save(path)
    return handle_file(path)


@needs_embedded
def test_20_clients_at_once_are_answered_by_the_embedded_model(
    embedded_url: str, tmp_path: Path
) -> None:
    colours = ["red", "blue", "yellow", "black"]
    files = {colour: draw_circle(tmp_path, colour) for colour in colours}

    def call(number: int) -> str:
        one = connect(embedded_url)
        return one.predict(
            images=[files[colours[number % 4]]], max_new_tokens=32, api_name="/describe"
        )

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(call, range(20)))
    for number, answer in enumerate(answers):
        assert f"{colours[number % 4]} circle" in answer


@needs_embedded
def test_the_embedded_model_reads_an_example(embedded_url: str) -> None:
    (picture,) = OCR.examples[1].paths
    answer = connect(embedded_url).predict(images=[handle_file(picture)], api_name="/ocr")
    assert SequenceMatcher(None, " ".join(answer.split()), "COFFEE AND TEA").ratio() > 0.8


@needs_embedded
def test_the_embedded_model_tells_two_examples_apart(embedded_url: str) -> None:
    pictures = [handle_file(path) for path in COMPARE.examples[1].paths]
    answer = connect(embedded_url).predict(images=pictures, api_name="/compare")
    assert "red circle" in answer
    assert "blue circle" in answer
