"""Drawings of several shapes, and the answers about them."""

import random

from training import objects
from training.canvas import Dice, choose_paper
from training.shapes import QUESTIONS


def test_shapes_placed_anywhere_are_in_their_parts_and_apart():
    sizes, spans = set(), set()
    for number in range(200):
        rng = Dice(f"anywhere {number}", 0.1)
        paper = choose_paper(rng)
        parts = objects.place_anywhere(rng, paper, 1 + number % 5, {})
        for part, shape in parts.items():
            column, row = shape.x / paper.width * 3, shape.y / paper.height * 3
            assert part == int(row) * 3 + int(column)
            assert shape.x - shape.width / 2 > 0
            assert shape.y + shape.height / 2 < paper.height
            sizes.add(round(max(shape.width, shape.height) / min(paper.width, paper.height), 1))
            spans.add(len(parts))
        shapes = list(parts.values())
        for at, one in enumerate(shapes):
            for other in shapes[:at]:
                apart = abs(one.x - other.x) * 2 >= one.width + other.width
                assert apart or abs(one.y - other.y) * 2 >= one.height + other.height
    assert spans == {1, 2, 3, 4, 5}
    assert {0.1, 0.3, 0.5, 0.7} <= sizes


def test_a_general_question_is_answered_with_every_object():
    rng = random.Random(2)
    answers = []
    while len(answers) < 40:
        drawing = objects.draw_objects(rng)
        question, answer = objects.ask(rng, drawing)
        if question in QUESTIONS:
            answers.append((len(drawing.shapes), answer))
    for count, answer in answers:
        assert answer.count(" and ") == (count > 1)
        assert answer.count(",") == max(0, count - 2)
        assert answer.endswith(" background.")
