"""Follow-up questions, three pictures, pages of PDFs, and training from a checkpoint's weights."""

import random
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.small_training import ANSWERS, CONFIG, needs_fonts

from training import conversation, document, objects, odd_one
from training.batches import DOCUMENT_LENGTH, Questions, name_verdict
from training.canvas import Picture
from training.export import export
from training.layouts import SLOTS
from training.prompts import PromptEncoder
from training.settings import CONFIG as CONFIG_FILE
from training.settings import load_config
from training.stages import Training
from training.tasks import MAKERS, choose_group
from training.tokenizer import CONTEXT, IGNORED

pytestmark = needs_fonts
NEW = ("conversation", "two", "odd one", "document")


@pytest.mark.parametrize("task", NEW)
def test_a_sample_depends_on_its_seed_only(task):
    one, other = (MAKERS[task](random.Random("5:7")) for _ in range(2))
    assert (one.question, one.answer, one.more) == (other.question, other.answer, other.more)
    for a, b in zip(one.pictures, other.pictures, strict=True):
        assert a.image.tobytes() == b.image.tobytes()
        assert a.marks == b.marks


def test_a_conversation_has_two_to_four_questions_and_answers_what_it_points_to():
    places = re.compile(r"The (\w+ \w+) is (?:at|in) the ([a-z ]+)\.")
    seen = set()
    for number in range(300):
        rng = random.Random(f"shapes {number}")
        pictures, turns = conversation.talk_about_shapes(rng, False)
        assert 2 <= len(turns) <= 4
        assert len(pictures) == 1
        names = {mark.name for mark in pictures[0].marks}
        for question, answer in turns:
            seen.add(question)
            if found := places.fullmatch(answer):
                assert found[1] in names
                assert found[2] in objects.PLACES
    for asked in (conversation.WHERE, conversation.IN_ALL, conversation.OTHER):
        assert set(asked) & seen


def test_nothing_that_another_turn_tells_is_said_to_be_unknown():
    unknown = 0
    for number in range(400):
        sample = conversation.make_sample(random.Random(f"unknown {number}"))
        answers = [sample.answer, *(answer for _, answer in sample.more)]
        if conversation.CANNOT in answers:
            unknown += 1
            assert not any(answer.startswith("The author") for answer in answers)
    assert unknown > 20


def test_the_larger_shape_is_the_larger_one():
    compared = 0
    for number in range(200):
        rng = random.Random(f"sizes {number}")
        drawing = objects.draw_objects(rng)
        sizes = [max(shape.width, shape.height) for shape in drawing.shapes]
        found = conversation.compare_sizes(rng, drawing)
        if found is None:
            continue
        compared += 1
        (question, answer), index = found
        is_small = "small" in question
        assert sizes[index] == (min(sizes) if is_small else max(sizes))
        assert drawing.shapes[index].kind in answer
    assert compared > 30


def find_odd(pictures: tuple[Picture, ...]) -> int | None:
    """Return which of three pictures differs from the two others; None if none does."""
    pixels = [picture.image.tobytes() for picture in pictures]
    lone = [index for index, one in enumerate(pixels) if pixels.count(one) == 1]
    return lone[0] if len(lone) == 1 else None


def test_the_odd_one_is_the_picture_that_differs():
    kinds = set()
    for number in range(60):
        sample = odd_one.make_sample(random.Random(f"odd {number}"))
        found = odd_one.ODD.search(sample.answer)
        odd = find_odd(sample.pictures)
        assert len(sample.pictures) == 3
        if found:
            assert odd == odd_one.ORDINALS.index(found[1])
            assert name_verdict(sample) == f"▁{found[1]}"
        else:
            assert "identical" not in sample.answer or odd is None
        kinds.add((bool(found), "identical" in sample.answer))
    assert len(kinds) == 3


def test_the_marks_of_a_page_are_where_its_ink_is():
    for number in range(6):
        sample = document.make_sample(random.Random(f"page {number}"))
        (picture,) = sample.pictures
        assert max(picture.image.size) in (2339, 2200)
        grey = np.asarray(picture.image.convert("L"))
        letters = [mark for mark in picture.marks if mark.token.isalnum()]
        assert len(letters) > 3
        inked = 0
        for mark in letters:
            x, y = round(mark.x), round(mark.y)
            inked += grey[y - 22 : y + 23, x - 22 : x + 23].min() < 128
        assert inked > 0.97 * len(letters)
        joined = "".join(mark.token for mark in picture.marks)
        assert joined == sample.answer.replace("\n", "")


@pytest.mark.parametrize("task", NEW)
def test_samples_fit_their_batch_with_every_label(tokenizer, task):
    stage = replace(ANSWERS, batch=12, tasks={task: 1.0}, breadth=0.2)
    batch = Questions(1, stage, tokenizer)[0]
    turns = batch.turns
    assert turns.token_ids.shape[1] <= CONTEXT
    assert (turns.labels[:, : turns.start] == IGNORED).all()
    assert (turns.labels[:, turns.start :] != IGNORED).any(1).all()
    if task == "document":
        assert (turns.token_ids.shape[1], turns.start) == DOCUMENT_LENGTH
        assert (turns.labels[:, -1] == IGNORED).all()  # none is truncated
    pictures = len(MAKERS[task](random.Random(1)).pictures)
    assert len(batch.frames.pixels) == len(turns.labels) * pictures * batch.layout.frames


def test_few_conversations_are_too_long_for_their_batch(tokenizer):
    encoder = PromptEncoder(tokenizer)
    lengths = [
        len(encoder.encode(conversation.make_sample(random.Random(f"long {number}"))).ids)
        for number in range(100)
    ]
    assert sum(length > 544 for length in lengths) <= 15


def test_a_batch_is_of_one_group_of_tasks():
    tasks = dict.fromkeys(("ocr", "compare", "two", "odd one", "document", "objects"), 1.0)
    groups = {frozenset(choose_group(random.Random(number), tasks)) for number in range(60)}
    assert groups == {
        frozenset(group)
        for group in (("ocr", "objects"), ("compare", "two"), ("odd one",), ("document",))
    }


def test_training_begins_from_a_checkpoint_s_weights(tmp_path):
    first = Training(CONFIG, tmp_path / "first", "cpu", compiled=False)
    export(first, tmp_path / "weights")
    changed = replace(CONFIG, seed=9)
    begun = Training(changed, tmp_path / "second", "cpu", False, tmp_path / "weights")
    wanted = first.trainee.network.state_dict()
    for name, weight in begun.trainee.network.state_dict().items():
        assert torch.allclose(weight, wanted[name], atol=2e-3), name
    cells = torch.randn(2, 5, CONFIG.network["text_width"])
    assert torch.equal(begun.trainee.slots(cells), cells.repeat(1, 1, SLOTS))


def test_the_further_training_has_the_committed_network_and_known_tasks():
    further = load_config(CONFIG_FILE.with_name("further.toml"))
    assert further.network == load_config().network
    for stage in further.stages:
        assert set(stage.tasks) <= set(MAKERS)
