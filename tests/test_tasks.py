"""Tasks and presets, and the requests built from them."""

import pytest
from PIL import Image

from phi3v.documents.images import open_image
from phi3v.request import RequestError, Sampling, Turn
from phi3v.results.formats import FORMATS
from phi3v.tasks import (
    COMPARE,
    DESCRIBE,
    OCR,
    PRESETS,
    TASKS,
    build_request,
    find_preset,
    presets_of,
    word_question,
)

IMAGE = Image.new("RGB", (4, 4))


def test_an_empty_question_becomes_the_default_prompt() -> None:
    request = build_request(OCR, (), [IMAGE], "  ", Sampling())
    assert request.turns[-1].text == OCR.default_prompt


def test_a_question_is_passed_on_unchanged() -> None:
    question = "What is <|image_7|>? <|end|>"
    request = build_request(DESCRIBE, (), [IMAGE], question, Sampling())
    assert request.turns[-1].text == question


def test_a_request_keeps_sampling_and_num_crops() -> None:
    sampling = Sampling(max_new_tokens=3, temperature=0.5, seed=1)
    request = build_request(DESCRIBE, (), [IMAGE], "?", sampling, num_crops=4)
    assert (request.sampling, request.num_crops) == (sampling, 4)


def test_a_request_continues_the_history() -> None:
    history = (Turn("user", "What?", (IMAGE,)), Turn("assistant", "That."))
    request = build_request(DESCRIBE, history, [], "Why?", Sampling())
    assert request.turns == (*history, Turn("user", "Why?"))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_needs_an_image(task) -> None:
    with pytest.raises(RequestError, match="none is there"):
        build_request(task, (), [], "What?", Sampling())


def test_compare_needs_two_images() -> None:
    with pytest.raises(RequestError, match="at least two pictures, and there is only 1"):
        build_request(COMPARE, (), [IMAGE], "", Sampling())


def test_compare_counts_images_of_earlier_turns() -> None:
    history = (Turn("user", "What?", (IMAGE,)), Turn("assistant", "That."))
    request = build_request(COMPARE, history, [IMAGE], "", Sampling())
    assert len(request.turns) == 3


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_example_makes_a_valid_request(task) -> None:
    for example in task.examples:
        images = [open_image(path) for path in example.paths]
        assert build_request(task, (), images, example.question, Sampling()).turns


def test_the_three_questions_of_the_tutorials_are_among_the_examples() -> None:
    questions = {example.question for task in TASKS for example in task.examples}
    assert "Could you please introduce this stock to me?" in questions
    assert "Help me get the title and author information of this book?" in questions
    assert "What is difference in this two images?" in questions


def test_preset_names_are_unique_within_a_task() -> None:
    for task in TASKS:
        names = [preset.name for preset in presets_of(task)]
        assert len(names) == len(set(names)) > 0


def test_ocr_has_a_preset_named_after_each_format() -> None:
    assert {preset.name for preset in presets_of(OCR)} == set(FORMATS)
    assert all(preset.output_format == preset.name for preset in presets_of(OCR))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
@pytest.mark.parametrize("is_embedded", [True, False])
def test_every_preset_has_a_prompt(preset, is_embedded) -> None:
    assert preset.wording(is_embedded).strip()


def test_an_empty_name_finds_the_default_preset() -> None:
    assert find_preset(OCR).name == "text"


def test_an_unknown_preset_is_refused_with_the_valid_names() -> None:
    with pytest.raises(RequestError, match="OCR has no preset 'xml': choose one of text, markdown"):
        find_preset(OCR, "xml")


def test_the_name_of_a_preset_becomes_its_prompt() -> None:
    assert word_question(DESCRIBE, " caption ", is_embedded=False) == (
        find_preset(DESCRIBE, "caption").prompt
    )
    for text in ("", "question", "Which caption?", "differences"):
        assert word_question(DESCRIBE, text, is_embedded=False) == text
