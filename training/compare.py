"""Pairs of pictures that differ in one thing, or are identical."""

import random
import string
from dataclasses import replace

from training import text
from training.canvas import Paper, Picture, Sample, choose_paper, is_wide
from training.colours import COLOURS, distance, sample_colour
from training.shapes import (
    Shape,
    choose_boxes,
    choose_kind,
    choose_size,
    choose_turn,
    draw_shapes,
    name_shapes,
    order_shapes,
    place_shape,
)
from training.words import choose_word

QUESTIONS = (
    "What is the difference between these two images?",
    "What is the difference between these two pictures?",
    "What is the difference between the two images?",
    "What is difference in this two images?",
    "What is different?",
    "What is different in the second picture?",
    "What are the differences between these images?",
    "Compare these pictures.",
    "Compare these images.",
    "Compare the two pictures.",
    "Compare the two images and name the difference.",
    "What has changed between the two pictures?",
    "Are these two pictures the same?",
    "Name what differs between the pictures.",
    "How do these images differ?",
)


DIFFERENT = 0.67  # the share of pairs in which something changes


def write_answer(first: str, second: str) -> str:
    """State what both pictures show, then the verdict, which then only compares two texts."""
    same = ": the two pictures are identical" if first == second else ""
    return f"The first picture shows {first}, the second {second}{same}."


def change_shape(rng: random.Random, shape: Shape, paper: Paper) -> Shape:
    """Return the shape in another colour, or another kind in the same colour and position."""
    if rng.random() < 0.5:
        for _ in range(30):
            colour = rng.choice([name for name in COLOURS if name != shape.colour])
            rgb = sample_colour(rng, colour)
            if distance(rgb, paper.background) >= 90 and distance(rgb, shape.rgb) >= 60:
                return replace(shape, colour=colour, rgb=rgb)
    kind = shape.kind
    while kind == shape.kind:
        kind = choose_kind(rng)
    extent = max(shape.width, shape.height)
    width, height = choose_size(rng, kind, extent)
    turn = choose_turn(rng, kind)
    return replace(shape, kind=kind, width=width, height=height, turn=turn)


def compare_shapes(rng: random.Random) -> tuple[list[Picture], list[str]]:
    """Draw one or two shapes twice, one of them or none changed; return their names, too."""
    paper = choose_paper(rng)
    boxes = choose_boxes(rng, paper, rng.choice((1, 1, 2)) if is_wide(rng) else 1)
    before = order_shapes([place_shape(rng, paper, box) for box in boxes])
    after = list(before)
    if rng.random() < DIFFERENT:
        index = rng.randrange(len(after))
        after[index] = change_shape(rng, after[index], paper)
    seed = rng.random()  # the same proportions in both pictures
    pictures = [draw_shapes(random.Random(seed), paper, shapes) for shapes in (before, after)]
    return pictures, [name_shapes(before), name_shapes(after)]


def change_letter(rng: random.Random, line: str) -> str:
    """Replace one letter or digit of the line by another of its kind."""
    positions = [i for i, character in enumerate(line) if character.isalnum()]
    if not positions:
        return line + "."
    position = rng.choice(positions)
    old = line[position]
    if old.isdigit():
        alphabet = string.digits
    else:
        alphabet = string.ascii_uppercase if old.isupper() else string.ascii_lowercase
    new = rng.choice([character for character in alphabet if character != old])
    return line[:position] + new + line[position + 1 :]


def compare_text(rng: random.Random, held_out: bool) -> tuple[list[Picture], list[str]]:
    """Draw one or two lines of text twice, with a letter, a whole word or nothing changed."""
    paper = choose_paper(rng)
    face = text.choose_text_face(rng, paper, held_out)
    before = [choose_word(rng, face.case, held_out, wide=False)]
    if is_wide(rng):
        before = text.write_phrase(rng, face.case, held_out)
    after = list(before)
    if rng.random() < DIFFERENT:
        index = rng.randrange(len(after))
        if rng.random() < 0.4:
            after[index] = change_letter(rng, after[index])
        else:
            words = after[index].split(" ")
            words[rng.randrange(len(words))] = choose_word(
                rng, face.case, held_out, wide=is_wide(rng)
            )
            after[index] = " ".join(words)
    face = text.fit_size(max(before, after, key=lambda lines: len("".join(lines))), face, paper)
    seed = rng.random()  # the same layout in both pictures
    pictures = [
        text.draw_text(random.Random(seed), paper, lines, face)[0] for lines in (before, after)
    ]
    return pictures, [f'the text "{" ".join(lines)}"' for lines in (before, after)]


def draw_anything(rng: random.Random, held_out: bool) -> tuple[Picture, str]:
    """Draw a shape or a word on a canvas of its own; return its name, too."""
    paper = choose_paper(rng)
    if rng.random() < 0.6:
        shape = place_shape(rng, paper, choose_boxes(rng, paper, 1)[0])
        return draw_shapes(rng, paper, [shape]), shape.name
    face = text.choose_text_face(rng, paper, held_out)
    word = choose_word(rng, face.case, held_out, wide=is_wide(rng))
    return text.draw_text(rng, paper, [word], face)[0], f'the text "{word}"'


def make_sample(rng: random.Random, held_out: bool = False) -> Sample:
    """A pair of pictures; the answer names what each shows, and says if they are identical."""
    roll = rng.random()
    if roll < 0.3:
        pictures, names = compare_shapes(rng)
    elif roll < 0.85:
        pictures, names = compare_text(rng, held_out)
    else:
        drawn = [draw_anything(rng, held_out) for _ in range(2)]
        pictures, names = [picture for picture, _ in drawn], [name for _, name in drawn]
    return Sample("compare", tuple(pictures), rng.choice(QUESTIONS), write_answer(*names))
