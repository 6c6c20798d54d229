"""Pictures of text, or of text and a shape, to be described or read."""

import random

from PIL import ImageDraw

from training import text
from training.canvas import (
    Paper,
    Picture,
    Sample,
    choose_paper,
    is_wide,
    load_font,
    mark_word,
    measure_line,
)
from training.shapes import (
    QUESTIONS,
    Shape,
    capitalize,
    choose_boxes,
    draw_shapes,
    fix_article,
    order_shapes,
    place_shape,
)
from training.words import choose_word

NO_TEXT = "There is no text in this picture."


def draw_sign(rng: random.Random, held_out: bool) -> tuple[Paper, list[str], Picture]:
    """Draw one or two lines of text."""
    paper = choose_paper(rng)
    face = text.choose_text_face(rng, paper, held_out)
    lines = text.write_phrase(rng, face.case, held_out)
    picture, _ = text.draw_text(rng, paper, lines, face)
    return paper, lines, picture


def draw_labelled_shape(rng: random.Random, held_out: bool) -> tuple[Paper, Shape, str, Picture]:
    """Draw a shape with a word below or above it."""
    paper = choose_paper(rng)
    face = text.choose_text_face(rng, paper, held_out)
    word = choose_word(rng, face.case, held_out, wide=is_wide(rng))
    face = text.fit_size([word, ""], face, paper)
    height = measure_line(face.font, face.size) * 1.1
    above = rng.random() < 0.4
    top, bottom = (height, paper.height) if above else (0, paper.height - height)
    shape = place_shape(rng, paper, (4, top + 2, paper.width - 4, bottom - 2))
    picture = draw_shapes(rng, paper, [shape])
    width = text.measure_word(face.font, face.size, word)
    x = round(rng.choice((0.5, 0.5, rng.random())) * max(0, paper.width - width))
    y = round(0 if above else bottom)
    ImageDraw.Draw(picture.image).text(
        (x, y), word, font=load_font(face.font, face.size), fill=paper.ink
    )
    marks = mark_word(face.font, face.size, word, x, y)
    return paper, shape, word, Picture(picture.image, (*picture.marks, *marks))


def make_sample(rng: random.Random, held_out: bool = False) -> Sample:
    """Text described, a labelled shape described or read, or shapes that hold no text."""
    roll = rng.random()
    if roll < 0.45:
        paper, lines, picture = draw_sign(rng, held_out)
        answer = f'The text "{" ".join(lines)}" on a {paper.background_name} background.'
        return Sample("describe", (picture,), rng.choice(QUESTIONS), fix_article(answer))
    if roll < 0.85:
        paper, shape, word, picture = draw_labelled_shape(rng, held_out)
        if rng.random() < 0.35:
            return Sample("ocr", (picture,), rng.choice(text.QUESTIONS), word)
        answer = (
            f'{capitalize(shape.name)} and the text "{word}" '
            f"on a {paper.background_name} background."
        )
        return Sample("describe", (picture,), rng.choice(QUESTIONS), fix_article(answer))
    paper = choose_paper(rng)
    boxes = choose_boxes(rng, paper, rng.choice((1, 2)))
    shapes = order_shapes([place_shape(rng, paper, box) for box in boxes])
    picture = draw_shapes(rng, paper, shapes)
    return Sample("ocr", (picture,), rng.choice(text.QUESTIONS), NO_TEXT)
