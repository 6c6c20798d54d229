"""The estimate shown before a question is sent, and ready questions."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from support.fake_engine import FakeEngine, MeasuredEngine

from phi3v.conversation.estimate import estimate_request
from phi3v.request import Request, Statistics, Turn
from phi3v.tasks import COMPARE, DESCRIBE, OCR, presets_of
from phi3v.ui.chat.conversation import Chat
from phi3v.ui.chat.estimating import describe_estimate, draw_crops, show_estimate
from phi3v.ui.chat.presets import word_preset
from phi3v.ui.details import name_details


@pytest.fixture(scope="module")
def engine() -> MeasuredEngine:
    return MeasuredEngine(context_length=3000)


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "a.png"
    Image.new("RGB", (640, 480), "red").save(path)
    return str(path)


def show(engine, pictures, task=DESCRIBE, chat=None, detail="4", most=100, crops=False):
    shown = [(picture, f"Image {number}") for number, picture in enumerate(pictures, 1)]
    return show_estimate(engine, task, chat or Chat(), shown, "", most, detail, crops)


def test_each_picture_s_crops_and_tokens_are_shown(engine, picture) -> None:
    text, switch, crops = show(engine, [picture, picture])
    assert "Image 1: 640 x 480 pixels, 2 x 2 crops, 757 tokens" in text
    assert "Image 2: 640 x 480 pixels, 2 x 2 crops, 757 tokens" in text
    assert "of the context's 3000 stay free" in text
    assert switch.visible
    assert not crops.visible


def test_the_memory_of_a_question_is_shown(engine, picture) -> None:
    estimate = estimate_request(Request((Turn("user", "", (picture,)),), num_crops=4), engine)
    large = describe_estimate(replace(estimate, cache_bytes=512_400_000))
    assert "about 512 MB of memory" in large
    assert "about 1 MB of memory" in describe_estimate(replace(estimate, cache_bytes=400))


def test_a_request_that_will_not_fit_is_reported_with_a_remedy(engine, picture) -> None:
    text, *_ = show(engine, [picture, picture], detail="16")
    assert "This will not fit." in text
    assert "With detail balanced" in text


def test_time_is_estimated_once_it_was_measured(picture) -> None:
    engine = MeasuredEngine()
    assert "first word" not in show(engine, [picture])[0]
    engine.throughput.record(Statistics(100, 64, 10, 1.0, 10.0, "end", prompt_time=1.0))
    assert "first word after about" in show(engine, [picture])[0]


def test_the_pictures_of_earlier_turns_count(engine, picture) -> None:
    chat = Chat((Turn("user", "What?", (picture,)), Turn("assistant", "That.")))
    one = show(engine, [picture], chat=chat)[0]
    assert one.count("Image ") == 1
    running = replace(chat, turns=chat.turns[:1], ticket="one")
    assert show(engine, [picture], chat=running)[0].count("Image ") == 1


def test_crops_are_drawn_on_request(engine, picture) -> None:
    _, _, crops = show(engine, [picture], crops=True)
    assert crops.visible
    assert len(crops.value) == 1


def test_crops_are_drawn_where_they_are_cut() -> None:
    drawn = draw_crops(Image.new("RGB", (480, 480), "white"), 4)
    assert drawn.getpixel((240, 10)) != (255, 255, 255)
    assert drawn.getpixel((10, 240)) != (255, 255, 255)
    assert drawn.getpixel((120, 120)) == (255, 255, 255)
    assert len(draw_crops(Image.new("RGB", (480, 360), "white"), 1).getcolors()) == 1


def test_without_sizes_nothing_is_shown(picture) -> None:
    text, switch, crops = show(FakeEngine(), [picture])
    assert (text, switch.visible, crops.visible) == ("", False, False)
    assert show(MeasuredEngine(), [])[0] == ""


def test_a_configured_number_of_crops_is_a_choice_too() -> None:
    values = [value for _, value in name_details("auto")]
    assert values == ["1", "4", "16", "auto"]
    assert name_details(9)[-1] == ("9", "9")


@pytest.mark.parametrize("task", [DESCRIBE, OCR, COMPARE], ids=lambda task: task.name)
@pytest.mark.parametrize("is_embedded", [True, False])
def test_a_ready_question_is_worded_for_the_model(task, is_embedded) -> None:
    engine = FakeEngine()
    engine.is_embedded = is_embedded
    for preset in presets_of(task):
        expected = preset.wording(is_embedded) if preset.prompt else ""
        assert word_preset(engine, task, preset.name) == expected


def test_the_estimate_says_that_a_cpu_limits_the_crops_of_auto(picture) -> None:
    engine = MeasuredEngine(context_length=3000)
    engine.is_embedded = False
    engine.processor.image_processor.auto_num_crops = [4, 4]
    said = "On a CPU, Auto cuts a picture into 4 crops at most"
    assert said in show(engine, [picture], detail="auto")[0]
    assert said not in show(engine, [picture], detail="4")[0]
    engine.is_embedded = True
    assert said not in show(engine, [picture], detail="auto")[0]
