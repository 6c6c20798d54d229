"""The table of tasks, and the requests built from it."""

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

PICTURE = Image.new("RGB", (4, 4))


def test_an_empty_question_becomes_the_tasks_own() -> None:
    request = build_request(OCR, (), [PICTURE], "  ", Sampling())
    assert request.turns[-1].text == OCR.default_prompt


def test_a_question_goes_through_unchanged() -> None:
    question = "What is <|image_7|>? <|end|>"
    request = build_request(DESCRIBE, (), [PICTURE], question, Sampling())
    assert request.turns[-1].text == question


def test_a_request_keeps_sampling_and_num_crops() -> None:
    sampling = Sampling(max_new_tokens=3, temperature=0.5, seed=1)
    request = build_request(DESCRIBE, (), [PICTURE], "?", sampling, num_crops=4)
    assert (request.sampling, request.num_crops) == (sampling, 4)


def test_a_request_goes_on_with_the_history() -> None:
    history = (Turn("user", "What?", (PICTURE,)), Turn("assistant", "That."))
    request = build_request(DESCRIBE, history, [], "Why?", Sampling())
    assert request.turns == (*history, Turn("user", "Why?"))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_without_a_picture_no_task_starts(task) -> None:
    with pytest.raises(RequestError, match="none is there"):
        build_request(task, (), [], "What?", Sampling())


def test_compare_wants_a_second_picture() -> None:
    with pytest.raises(RequestError, match="at least two pictures, and there is only 1"):
        build_request(COMPARE, (), [PICTURE], "", Sampling())


def test_compare_counts_the_pictures_of_earlier_turns() -> None:
    history = (Turn("user", "What?", (PICTURE,)), Turn("assistant", "That."))
    request = build_request(COMPARE, history, [PICTURE], "", Sampling())
    assert len(request.turns) == 3


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_example_can_be_asked(task) -> None:
    for example in task.examples:
        images = [open_image(path) for path in example.paths]
        assert build_request(task, (), images, example.question, Sampling()).turns


def test_the_three_questions_of_the_tutorials_are_among_the_examples() -> None:
    questions = {example.question for task in TASKS for example in task.examples}
    assert "Could you please introduce this stock to me?" in questions
    assert "Help me get the title and author information of this book?" in questions
    assert "What is difference in this two images?" in questions


def test_preset_names_are_unique_in_their_task() -> None:
    for task in TASKS:
        names = [preset.name for preset in presets_of(task)]
        assert len(names) == len(set(names)) > 0


def test_ocr_has_a_preset_for_every_format_under_its_name() -> None:
    assert {preset.name for preset in presets_of(OCR)} == set(FORMATS)
    assert all(preset.output_format == preset.name for preset in presets_of(OCR))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
@pytest.mark.parametrize("is_embedded", [True, False])
def test_every_preset_asks_something(preset, is_embedded) -> None:
    assert preset.wording(is_embedded).strip()


def test_without_a_name_the_usual_preset_is_found() -> None:
    assert find_preset(OCR).name == "text"


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RequestError, match="OCR has no preset 'xml': choose one of text, markdown"):
        find_preset(OCR, "xml")


def test_a_preset_s_name_asks_in_its_own_words() -> None:
    assert word_question(DESCRIBE, " caption ", is_embedded=False) == (
        find_preset(DESCRIBE, "caption").prompt
    )
    for text in ("", "question", "Which caption?", "differences"):
        assert word_question(DESCRIBE, text, is_embedded=False) == text
