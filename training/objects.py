"""Drawings of one to five shapes, and questions about positions, counts and single shapes."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from training.canvas import Paper, Picture, Sample, choose_paper, is_wide
from training.shapes import (
    QUESTIONS,
    SHAPES,
    Shape,
    capitalize,
    draw_shapes,
    fix_article,
    order_shapes,
    place_shape,
)
from training.words import join, pluralize

DETAILED = (
    "Describe this picture in detail.",
    "Describe the image in detail.",
    "Describe the image and say where everything is.",
    "Describe the positions of the objects.",
)
LISTING = (
    "List the objects.",
    "List all objects in this picture.",
    "List the objects in the image, one per line.",
    "What objects are in this picture?",
    "Which objects do you see?",
)
COUNTING = (
    "How many shapes are there?",
    "How many shapes are in this picture?",
    "How many objects do you see?",
    "How many objects are there?",
    "Count the objects.",
    "Count the shapes in the image.",
)
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
SIDE = 3  # the picture is divided into 3 x 3 parts
ANYWHERE = 0.7  # the share of drawings whose shapes have any size and position
EXTENTS = ((0.15, 0.25), (0.25, 0.45), (0.45, 1.0))  # of boxes, in shorter sides of the paper
MOST_ROOM = (0.0, 1.0, 0.7, 0.5, 0.45, 0.4)  # the largest extent, by the number of shapes
TRIES = 30
BORDER = 0.15  # of a part; a centre nearer to a border has no clear position
PLACES = (
    *("top left", "top", "top right", "left", "centre", "right"),
    *("bottom left", "bottom", "bottom right"),
)


@dataclass(frozen=True)
class Drawing:
    """Shapes on paper, at most one in each part, in reading order."""

    paper: Paper
    shapes: tuple[Shape, ...]
    places: tuple[str, ...]
    picture: Picture


def draw_objects(rng: random.Random) -> Drawing:
    """Draw one to five shapes, sometimes several of one kind, within parts or anywhere."""
    paper = choose_paper(rng)
    count = rng.choices((1, 2, 3, 4, 5), weights=(14, 22, 24, 20, 20))[0]
    fixed = {"kind": rng.choice(SHAPES)} if rng.random() < 0.3 else {}
    place = place_anywhere if rng.random() < ANYWHERE else place_in_parts
    parts = place(rng, paper, count, fixed)
    shapes = tuple(parts[part] for part in sorted(parts))
    places = tuple(PLACES[part] for part in sorted(parts))
    return Drawing(paper, shapes, places, draw_shapes(rng, paper, list(shapes)))


def place_one(
    rng: random.Random, paper: Paper, box: tuple[float, float, float, float], fixed: dict[str, str]
) -> Shape:
    """Place a shape in a box; most shapes take what is `fixed` for the picture."""
    again = fixed if rng.random() < 0.7 else {}
    return place_shape(rng, paper, box, **again)


def place_in_parts(
    rng: random.Random, paper: Paper, count: int, fixed: dict[str, str]
) -> dict[int, Shape]:
    """Place `count` shapes, each within one part of the paper; return them by part."""
    shapes = {}
    for part in rng.sample(range(SIDE * SIDE), count):
        column, row = part % SIDE, part // SIDE
        box = (
            paper.width * (column + 0.04) / SIDE,
            paper.height * (row + 0.04) / SIDE,
            paper.width * (column + 0.96) / SIDE,
            paper.height * (row + 0.96) / SIDE,
        )
        shapes[part] = place_one(rng, paper, box, fixed)
    return shapes


def place_anywhere(
    rng: random.Random, paper: Paper, count: int, fixed: dict[str, str]
) -> dict[int, Shape]:
    """Place up to `count` shapes of any size, apart; return them by the part of their centre."""
    shapes: dict[int, Shape] = {}
    sides: list[tuple[float, float, float, float]] = []
    shorter = min(paper.width, paper.height)
    for _ in range(TRIES * count):
        if len(shapes) == count:
            break
        low, high = rng.choice(EXTENTS)
        room = shorter * rng.uniform(low, min(high, MOST_ROOM[count]))
        left, top = rng.uniform(0, paper.width - room), rng.uniform(0, paper.height - room)
        box = (left, top, left + room, top + room)
        if any(is_touching(box, other) for other in sides):
            continue
        shape = place_one(rng, paper, box, fixed)
        column, row = shape.x / paper.width * SIDE, shape.y / paper.height * SIDE
        part = int(row) * SIDE + int(column)
        if part in shapes or is_between(column) or is_between(row):
            continue
        shapes[part] = shape
        sides.append(box)
    return shapes or place_in_parts(rng, paper, count, fixed)


def is_touching(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    """True if two boxes (left, top, right, bottom) overlap or touch."""
    across = one[0] <= other[2] and other[0] <= one[2]
    return across and one[1] <= other[3] and other[1] <= one[3]


def is_between(coordinate: float) -> bool:
    """True if a coordinate, in parts from the edge, is too near a border of parts to be named."""
    return any(abs(coordinate - border) < BORDER for border in range(1, SIDE))


def tell_place(place: str) -> str:
    """Phrase a position: "at the top left", "in the centre"."""
    return f"{'in' if place == 'centre' else 'at'} the {place}"


def tell_all(names: Sequence[str], places: Sequence[str]) -> str:
    """Phrase shapes and positions: "A red circle at the top and a blue circle in the centre"."""
    parts = [f"{name} {tell_place(place)}" for name, place in zip(names, places, strict=True)]
    return capitalize(join(parts))


def count_things(names: Sequence[str], places: Sequence[str], thing: str) -> str:
    """Phrase a count: "A red circle at the top and a blue circle in the centre: two circles."

    Things are named with their positions before the count: without that, one was named twice.
    """
    if not names:
        return f"There are no {pluralize(thing)}."
    things = thing if len(names) == 1 else pluralize(thing)
    return f"{tell_all(names, places)}: {NUMBERS[len(names)]} {things}."


def describe(drawing: Drawing) -> str:
    """Describe every object and its position."""
    names = [shape.name for shape in drawing.shapes]
    background = drawing.paper.background_name
    return fix_article(f"{tell_all(names, drawing.places)}, on a {background} background.")


def summarize(drawing: Drawing) -> str:
    """Name every object without its position; two in the order that `shapes` gives them."""
    drawn = list(drawing.shapes)
    names = [shape.name for shape in (order_shapes(drawn) if len(drawn) <= 2 else drawn)]
    background = drawing.paper.background_name
    return fix_article(f"{capitalize(join(names))} on a {background} background.")


def list_objects(drawing: Drawing) -> str:
    """List the objects, one per line."""
    return "\n".join(
        f"{capitalize(shape.name)}, {place}"
        for shape, place in zip(drawing.shapes, drawing.places, strict=True)
    )


def ask_count(rng: random.Random, drawing: Drawing) -> tuple[str, str]:
    """Ask how many shapes there are, or how many of a kind; return the answer, too."""
    names = [shape.name for shape in drawing.shapes]
    if rng.random() < 0.6:
        return rng.choice(COUNTING), count_things(names, drawing.places, "shape")
    kind = rng.choice([*(shape.kind for shape in drawing.shapes), rng.choice(SHAPES)])
    counted = [index for index, shape in enumerate(drawing.shapes) if shape.kind == kind]
    places = [drawing.places[index] for index in counted]
    return ask_number(rng, kind), count_things([names[index] for index in counted], places, kind)


def ask_number(rng: random.Random, kind: str) -> str:
    """Ask how many of a kind there are."""
    plural = pluralize(kind)
    return rng.choice((f"How many {plural} are there?", f"Count the {plural}."))


def ask_about_one(rng: random.Random, drawing: Drawing) -> tuple[str, str]:
    """Ask for colour, kind or position of one object that the question identifies uniquely."""
    index = rng.randrange(len(drawing.shapes))
    shape, place = drawing.shapes[index], drawing.places[index]
    where = tell_place(place)
    options = [
        (
            rng.choice((f"What is {where}?", f"What do you see {where}?")),
            f"{capitalize(shape.name)}.",
        )
    ]
    if sum(s.kind == shape.kind for s in drawing.shapes) == 1:
        options.append(
            (f"What colour is the {shape.kind}?", f"The {shape.kind} is {shape.colour}.")
        )
        options.append((f"Where is the {shape.kind}?", f"The {shape.kind} is {where}."))
    same = [s for s in drawing.shapes if (s.colour, s.kind) == (shape.colour, shape.kind)]
    if len(same) == 1:
        name = f"{shape.colour} {shape.kind}"
        options.append((f"Where is the {name}?", f"The {name} is {where}."))
    if sum(s.colour == shape.colour for s in drawing.shapes) == 1:
        question = f"Which shape is {shape.colour}?"
        options.append((question, f"The {shape.kind} is {shape.colour}."))
    return rng.choice(options)


def ask(rng: random.Random, drawing: Drawing) -> tuple[str, str]:
    """Return a random question about a drawing, and its answer."""
    roll = rng.random()
    if roll < 0.1:
        return rng.choice(QUESTIONS), summarize(drawing)
    if roll < 0.35:
        return rng.choice(DETAILED), describe(drawing)
    if roll < 0.5:
        return rng.choice(LISTING), list_objects(drawing)
    if roll < 0.7:
        return ask_count(rng, drawing)
    return ask_about_one(rng, drawing)


def make_sample(rng: random.Random, held_out: bool = False) -> Sample:
    """A drawing and one to four questions about it."""
    drawing = draw_objects(rng)
    count = rng.choice((1, 2, 3, 4)) if not is_wide(rng) else 1
    (question, answer), *more = [ask(rng, drawing) for _ in range(count)]
    return Sample("objects", (drawing.picture,), question, answer, tuple(more))
