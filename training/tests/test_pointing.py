"""Targets for the decoder's attention while it answers."""

import math
import random
from dataclasses import replace

import pytest
import torch
from support.small_training import ANSWERS, needs_fonts

from training.batches import Questions, Turns
from training.canvas import Mark, Paper, Picture
from training.layouts import (
    FOUR,
    FOUR_STRIP,
    NAME_IDS,
    NAMES,
    NINE,
    NINE_STRIP,
    PANORAMA,
    SINGLE,
    SINGLE_STRIP,
    SIX_WIDE,
    WIDE,
)
from training.losses import judge_looks
from training.network import arrange_cells
from training.pointing import find_slots, trace_answer
from training.prompts import IMAGE_SLOT
from training.shapes import Shape, draw_shapes
from training.tokenizer import IGNORED, SPACE
from training.tower import CELLS

TASKS = ("ocr", "table", "receipt", "cover", "chart", "compare", "objects")


def is_whole(label: int) -> bool:
    """True if a token names a colour or a shape, not a character."""
    return len(NAMES[NAME_IDS.index(label)]) > 1


def print_line(words: str, y: float) -> tuple[Mark, ...]:
    """Return the marks of a line of text, ten pixels apart."""
    return tuple(Mark(10 * i, y, c, words) for i, c in enumerate(words))


def named(answer: str, *pictures: Picture) -> list[tuple[str, int, float]]:
    """Return the traced parts of an answer, with the picture and y coordinate of each."""
    found = trace_answer(answer, pictures)
    parts = [(answer[t.start : t.end], t.picture, t.marks[0].y) for t in found]
    return [parts[i] for i in sorted(range(len(parts)), key=lambda i: found[i].start)]


def test_every_printed_character_of_an_answer_is_traced():
    picture = Picture(None, (*print_line("To be", 5), *print_line("9", 30), *print_line("9", 60)))
    found = trace_answer("To be\n9\n9", (picture,))
    assert [(t.start, t.marks[0].token) for t in sorted(found, key=lambda t: t.start)] == [
        *((0, "T"), (1, "o"), (2, " "), (3, "b"), (4, "e"), (5, "e"), (6, "9"), (7, "9"), (8, "9"))
    ]
    assert named("To be\n9\n9", picture)[-3:] == [("9", 0, 30), ("\n", 0, 30), ("9", 0, 60)]


def test_a_name_of_several_things_is_not_traced():
    picture = Picture(None, (*print_line("9", 30), *print_line("9", 60), *print_line("Mar", 90)))
    assert named("Nine is 9, as Mar.", picture) == [(c, 0, 90) for c in "Mar"]
    title = Picture(None, (*print_line("Sales 2004", 5), *print_line("2004", 90)))
    traced = named("Sales 2004: 2004.", title)
    assert [y for _, _, y in traced] == [5] * 11 + [90] * 4


def test_shapes_are_traced_with_their_positions_in_each_picture():
    one = Picture(None, (Mark(5, 5, "red", "red star"), Mark(5, 5, "star", "red star")))
    other = Picture(None, (Mark(9, 9, "red", "red star"), Mark(9, 9, "star", "red star")))
    assert named("Red star, bottom left", one) == [("Red star, bottom left", 0, 5)]
    answer = "The first picture shows a red star, the second a red star: they are identical."
    assert named(answer, one, other) == [("red star", 0, 5), ("red star", 1, 9)]


def test_two_large_shapes_of_one_name_are_traced_to_the_centre_of_each():
    paper = Paper(672, 672, (255, 255, 255), "white", (0, 0, 0), 2)
    rng = random.Random(1)
    squares = [
        Shape("red", "square", (220, 0, 0), x, y, 250, 250, 0.0, None, 1)
        for x, y in ((150, 150), (500, 460))
    ]
    picture = draw_shapes(rng, paper, squares)
    one, other = trace_answer("A red square and a red square.", (picture,))
    for target, shape in ((one, squares[0]), (other, squares[1])):
        assert len(target.marks) >= 8
        assert all(math.dist((m.x, m.y), (shape.x, shape.y)) < 10 for m in target.marks)


def test_the_highest_is_traced_to_the_upper_end_of_its_bar():
    ends = (Mark(5, 20, "end", "highest"), Mark(9, 20, "end", "highest"))
    chart = Picture(None, (*print_line("Mar", 90), *ends))
    expected = [("highest is ", 0, 20), *((c, 0, 90) for c in "Mar")]
    assert named("The highest is Mar.", chart) == expected
    assert ("Highest", 0, 20) in named("Highest.", chart)
    printed = Picture(None, (*print_line("3,1", 90), *print_line("7", 15), *ends))
    assert named("The highest is 3,1 with 7.", printed) == [
        *(("highest is ", 0, 20), *((c, 0, 90) for c in "3,1")),
        *((" with ", 0, 20), ("7", 0, 15)),
    ]


def test_a_bar_is_traced_by_its_colour():
    bars = [Mark(x, 40, "red", name) for x, name in ((5, "red bar"), (50, "blue bar"))]
    picture = Picture(None, (*print_line("Jan", 90), *bars))
    expected = [("blue bar is ", 0, 40), *((c, 0, 90) for c in "Jan")]
    assert named("The blue bar is Jan.", picture) == expected


def test_only_the_first_character_of_a_line_has_to_be_located():
    picture = Picture(None, print_line("Mar", 90))
    targets = trace_answer("It is Mar.", (picture,))
    assert [target.is_first for target in targets] == [True, False, False]


LAYOUTS = [SINGLE, SINGLE_STRIP, WIDE, PANORAMA, SIX_WIDE, FOUR, FOUR_STRIP, NINE, NINE_STRIP]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_slots_are_the_image_tokens_of_the_cells_that_hold_a_mark(layout):
    size = (336 * layout.columns, 336 * layout.rows)
    row, column = 3, 12 * layout.columns - 2
    marks = (Mark(28 * column + 1, 28 * row + 1, "a", "a"),)
    wide = 12 * layout.columns + 1
    top = 2 if layout.height < CELLS else 0
    first, *rest = find_slots(marks, size, layout, top)
    assert first == (row - top) * wide + column
    start = top if layout.rows == 1 else max(0, top // layout.rows - 1)
    after = layout.image_tokens - layout.height * 13
    low = (row // layout.rows - start) * 13 + column // layout.columns
    assert rest == [after + low]


@needs_fonts
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("strips", [0.0, 1.0])
def test_pointers_lead_to_cells_that_show_the_next_token(tokenizer, task, strips):
    stage = replace(ANSWERS, tasks={task: 1.0}, batch=6, strips=strips, strip_batch=6, breadth=0.2)
    if strips and task == "objects":
        pytest.skip("objects are never cut to strips")
    batch = Questions(2, stage, tokenizer)[0]
    turns, layout = batch.turns, batch.layout
    names = batch.frames.names.amax(2).float()  # (N, C, W)
    mark = torch.zeros(names.shape[-1])
    cells = names.view(len(names), layout.height, CELLS, -1)
    cells = arrange_cells(cells, mark, mark, layout.columns, layout.sub_frames)
    cells = cells.reshape(len(turns.token_ids), -1, len(mark))
    space = tokenizer.convert_tokens_to_ids(SPACE)
    found, shown = 0, set()
    for row, position, slot in sorted(turns.pointers.tolist()):
        assert turns.token_ids[row, slot] == IMAGE_SLOT
        label = int(turns.labels[row, position])
        number = int((turns.token_ids[row, :slot] == IMAGE_SLOT).sum())
        # Around a shape's name are characters of its position, or a capital: no cell has that name.
        # Nor has any that of the space which the tokenizer puts before an answer's first word.
        is_prefix = label == space and turns.labels[row, position - 1] == IGNORED
        # "The highest is " and " with " point at a bar's end.
        labels = tokenizer.convert_ids_to_tokens(turns.labels[row].clamp(min=0))
        begin = max(i for i in range(position + 1) if labels[i].startswith(SPACE))
        word = "".join(labels[begin : position + 4]).split(SPACE)[1]
        is_verb = task == "chart" and word in ("is", "with")
        # What is between two lines points at the end of the first.
        is_between = (row, slot) in shown
        shown.add((row, slot))
        if label not in NAME_IDS or is_prefix or is_verb or is_between:
            continue
        if task != "objects" or is_whole(label):
            found += 1
            assert cells[row, number, NAME_IDS.index(label)] > 0
    assert found > 10
    followed = turns.follow().pointers
    assert len(followed) > 10
    rows, positions, _ = followed.unbind(1)
    assert (turns.token_ids[rows, positions] == turns.labels[rows, positions - 1]).all()


def test_the_attention_loss_adds_up_all_slots_that_show_a_token():
    shares = torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]])
    token_ids = torch.full((1, 3), IMAGE_SLOT)
    pointers = torch.tensor([[0, 1, 0], [0, 1, 2], [0, 2, 2]])
    turns = Turns(token_ids, token_ids, torch.tensor([[1.0, 1.0, 3.0]]), pointers, 1)
    loss, pointed = judge_looks(shares.log(), turns)
    assert pointed == pytest.approx((0.75 + 0.7) / 2)
    first, second = -torch.tensor([0.75, 0.7]).log()
    assert loss == pytest.approx(((first + 3 * second) / 4).item())
    assert turns.follow().pointers.tolist() == [[0, 2, 0], [0, 2, 2]]
    nothing = replace(turns, pointers=pointers[:0])
    assert judge_looks(shares.log(), nothing)[0] == 0
