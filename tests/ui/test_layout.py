"""Event handlers, model note and launch options of the page, without server or browser."""

from pathlib import Path

import gradio as gr
import pytest
from PIL import Image
from support.fake_engine import FakeEngine

from phi3v.settings import Settings
from phi3v.tasks import COMPARE, DESCRIBE, OCR
from phi3v.ui import build_page, launch_options
from phi3v.ui.chat.conversation import Chat
from phi3v.ui.chat.events import check_question
from phi3v.ui.chat.pictures import add_from_address, check_pictures
from phi3v.ui.page import describe_model


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


def test_an_empty_address_is_reported(warnings: list[str]) -> None:
    add_from_address(1000, None, " ")
    assert warnings == ["Type or paste a picture's address first."]


def test_compare_with_one_picture_says_so_below_the_question() -> None:
    *_, verdict = check_question(COMPARE, Chat(), [("a.png", "Image 1")], "")
    assert verdict["is_valid"] is False
    assert "there is only 1" in verdict["message"]


def test_the_note_says_what_the_embedded_model_cannot_do() -> None:
    note = describe_model(FakeEngine())
    assert "**fake** on cpu, float32" in note
    assert "python app.py --model microsoft/Phi-3.5-vision-instruct" in note


def test_the_note_hides_the_path_of_a_model_folder(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.name = str(tmp_path)
    assert str(tmp_path.parent) not in describe_model(engine)


def test_a_warning_is_escaped(warnings: list[str]) -> None:
    add_from_address(1000, None, "<b>bold</b>")
    assert warnings[0].startswith("&lt;b&gt;bold&lt;/b&gt; is no web address")


def test_the_note_on_another_model_names_no_limits() -> None:
    engine = FakeEngine()
    engine.is_embedded = False
    assert describe_model(engine) == "Answers come from **fake** on cpu, float32."


def test_only_the_endpoints_are_public() -> None:
    page = build_page(FakeEngine(), Settings())
    public = {fn.api_name for fn in page.fns.values() if fn.api_visibility == "public"}
    assert public == {"describe", "ocr", "compare", "chat", "estimate"}


@pytest.mark.parametrize(
    ("queue_size", "in_engine", "in_page"), [(64, 32, 33), (5, 5, 1), (1, 1, 1)]
)
def test_all_answers_share_one_queue(queue_size: int, in_engine: int, in_page: int) -> None:
    page = build_page(FakeEngine(), Settings(queue_size=queue_size))
    events = [fn for fn in page.fns.values() if fn.concurrency_id == "engine"]
    # ask, retry, edit, example and Continue of each tab, and the four endpoints that answer
    assert len(events) == 3 * 5 + 4
    assert {fn.concurrency_limit for fn in events} == {in_engine}
    # one request in the engine's queue is being answered and does not count as waiting
    assert page._queue.max_size == in_page == queue_size - (in_engine - 1)


def test_no_usage_data_is_recorded_or_sent() -> None:
    options = launch_options(Settings())
    assert options["run_history"] is False
    assert options["enable_monitoring"] is False
    assert build_page(FakeEngine(), Settings()).analytics_enabled is False


def test_launch_options_contain_the_limits() -> None:
    options = launch_options(Settings(upload_limit=3, auth="me:secret"))
    assert options["max_file_size"] == 3 * 1024 * 1024
    assert options["auth"] == ("me", "secret")
    assert [Path(path).name for path in options["allowed_paths"]] == ["examples"]


def test_a_verbatim_task_renders_no_markdown() -> None:
    page = build_page(FakeEngine(), Settings())
    chatbots = [block for block in page.blocks.values() if isinstance(block, gr.Chatbot)]
    assert [chatbot.render_markdown for chatbot in chatbots] == [
        not task.is_verbatim for task in (DESCRIBE, OCR, COMPARE)
    ]
