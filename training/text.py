"""Printed text: dense pages for the vision tower, and pictures of a few large lines to read."""

import random
from dataclasses import dataclass

from PIL import ImageDraw

from training.canvas import (
    Mark,
    Paper,
    Picture,
    Sample,
    choose_font,
    choose_paper,
    count_crops,
    is_wide,
    load_font,
    make_paper,
    mark_word,
    measure_glyph,
    measure_line,
    measure_word,
)
from training.colours import sample_ink
from training.shapes import draw_shape, place_shape
from training.words import choose_word

QUESTIONS = (
    "Read the text in this picture.",
    "Read the text in this image.",
    "Read the text.",
    "Extract all text from the image. Answer with the text only.",
    "Extract all text from the image.",
    "Extract the text.",
    "Extract the text from this picture.",
    "OCR",
    "OCR this image.",
    "What does it say?",
    "What does the sign say?",
    "What does this picture say?",
    "What is written here?",
    "What is written in the picture?",
    "What text is in this image?",
    "What is the text in the image?",
    "Transcribe the text.",
    "Please read this.",
    "Read all text in this picture, line by line. Answer with the text only.",
    "Write down the text that you see, line by line.",
)
LEGIBLE = 12  # least height of text, in frame pixels
SMALL = 0.15  # the share of small text; more in pictures cut into crops, as they are large
SMALL_CUT = 0.4
LARGE_PAGES = 0.3  # the share of dense pages in large text
SMALL_PAGES = 0.25
CASES = ("upper", "upper", "lower", "lower", "title", "title")


@dataclass(frozen=True)
class Face:
    """A font, its size in canvas pixels, and the letters' case."""

    font: str
    size: int
    case: str


def choose_face(rng: random.Random, low: float, high: float, held_out: bool = False) -> Face:
    """Choose a face of log-uniform size between two, in canvas pixels."""
    size = round(low * (high / low) ** rng.random())
    return Face(choose_font(rng, held_out), max(8, size), rng.choice(CASES))


def draw_page(rng: random.Random, plain: bool = False) -> Picture:
    """Draw a frame full of words and shapes, from which the vision tower learns first.

    A plain page is black on white in one medium size, to begin with. The canvas is square and
    mostly of another size than the frame, for the blur of scaling.
    """
    side = rng.choice((224, 288, 336, 336, 400, 480, 560, 640))
    paper = make_paper(rng, side, side)
    mixed, shapes_share = rng.random() < 0.6, rng.choice((0, 0.08, 0.16))
    if plain:
        paper = Paper(side, side, (255, 255, 255), "white", (0, 0, 0))
        mixed, shapes_share = False, 0
    image = paper.blank()
    draw = ImageDraw.Draw(image)
    marks: list[Mark] = []
    pixel = 1 / paper.scale  # of the frame, in canvas pixels
    # Uniform sizes: a line of large text has few letters, and they matter as much. Large text
    # fills a page quickly, so some pages hold nothing else.
    low, high = (18, 26) if plain else (14 if is_wide(rng) else 18, 96)
    roll = 1.0 if plain else rng.random()
    if roll < LARGE_PAGES:
        low = 42
    elif roll < LARGE_PAGES + SMALL_PAGES:
        low, high = LEGIBLE, 22
    sizes = [rng.uniform(low, high) * pixel for _ in range(40)]
    page_face = choose_face(rng, sizes[0], sizes[0])
    y = rng.uniform(-4, 12) * pixel
    while y < side:
        if rng.random() < shapes_share:
            height = min(rng.uniform(45, 130) * pixel, side)
            x = rng.uniform(0, 20) * pixel
            while x + height < side:
                shape = place_shape(rng, paper, (x, y, x + height, y + height))
                marks += draw_shape(rng, image, shape, paper)
                x += height * rng.uniform(1.0, 1.6)
            y += height
            continue
        face = page_face
        if mixed:
            size = rng.choice(sizes)
            face = choose_face(rng, size, size)
        ink = paper.ink
        if mixed and rng.random() < 0.3 and is_wide(rng):
            ink = sample_ink(rng, paper.background)
        font = load_font(face.font, face.size)
        space = measure_glyph(face.font, face.size, " ")[0]
        x = rng.uniform(-6, 40) * pixel
        while x < side:
            word = choose_word(rng, face.case, False, hard=0.35, wide=is_wide(rng))
            draw.text((x, y), word, font=font, fill=ink)
            marks += mark_word(face.font, face.size, f"{word} ", x, y)
            x += measure_word(face.font, face.size, word) + space * rng.uniform(0.8, 2.5)
        y += measure_line(face.font, face.size) * rng.uniform(0.85, 1.3)
    return Picture(image, tuple(marks))


def draw_lines(
    rng: random.Random, paper: Paper, lines: list[str], faces: list[Face], top: float
) -> Picture:
    """Draw lines below each other from `top` on, aligned left, right or centred."""
    image = paper.blank()
    draw = ImageDraw.Draw(image)
    marks: list[Mark] = []
    widths = [measure_word(f.font, f.size, line) for line, f in zip(lines, faces, strict=True)]
    slack = max(0.0, paper.width - max(widths))
    # Centred on the canvas, or anywhere.
    block = slack / 2 if rng.random() < 0.5 else rng.uniform(0, slack)
    align = rng.choice((0.5, 0.5, 0.5, 0, 0, 1))
    y = top
    spacing = rng.uniform(0.95, 1.6)
    for line, face, width in zip(lines, faces, widths, strict=True):
        x = round(block + (max(widths) - width) * align)
        draw.text((x, y), line, font=load_font(face.font, face.size), fill=paper.ink)
        marks += mark_word(face.font, face.size, line, x, round(y))
        y = round(y + measure_line(face.font, face.size) * spacing)
    return Picture(image, tuple(marks))


def write_phrase(rng: random.Random, case: str, held_out: bool) -> list[str]:
    """Choose one or two words, on one line or two."""
    wide = is_wide(rng)
    words = [choose_word(rng, case, held_out, wide=wide) for _ in range(rng.choice((1, 1, 2)))]
    return words if rng.random() < 0.45 else [" ".join(words)]


def write_lines(rng: random.Random, case: str, held_out: bool) -> list[str]:
    """Choose one to four lines of one to three words; more on a large picture."""
    is_large = count_crops(rng) > 1
    wide = is_wide(rng)
    chances = (25, 25, 20, 15, 10, 5) if is_large else (30, 30, 22, 18)
    count = rng.choices(range(1, len(chances) + 1), weights=chances)[0]
    chances = (30, 30, 25, 10, 5) if is_large and wide else (40, 35, 25)
    most = rng.choices(range(1, len(chances) + 1), weights=chances)[0]
    mixed = rng.random() < 0.25

    def choose() -> str:
        own = rng.choice(CASES) if mixed else case
        return choose_word(rng, own, held_out, wide=wide)

    return [" ".join(choose() for _ in range(rng.randint(1, most))) for _ in range(count)]


def fit_size(lines: list[str], face: Face, paper: Paper) -> Face:
    """Return the face, smaller if the lines would not fit on the paper."""
    widest = max(measure_word(face.font, face.size, line) for line in lines)
    tall = measure_line(face.font, face.size) * 1.25 * len(lines)
    fit = min(1.0, paper.width * 0.97 / max(widest, 1), paper.height * 0.97 / tall)
    return Face(face.font, max(8, int(face.size * fit)), face.case)


def choose_text_face(rng: random.Random, paper: Paper, held_out: bool) -> Face:
    """Choose a face of 16 to 72 canvas pixels and 14 to 96 frame pixels.

    Small text has 12 to 20 frame pixels.
    """
    if rng.random() < (SMALL_CUT if count_crops(rng) > 1 else SMALL):
        return choose_face(rng, LEGIBLE / paper.scale, 20 / paper.scale, held_out)
    low = max(16.0, (14 if is_wide(rng) else 18) / paper.scale)
    return choose_face(rng, low, max(low * 1.2, min(72.0, 96 / paper.scale)), held_out)


def draw_text(
    rng: random.Random, paper: Paper, lines: list[str], face: Face
) -> tuple[Picture, Face]:
    """Draw lines in one face on the paper; return the face at the size that fits, too."""
    face = fit_size(lines, face, paper)
    height = measure_line(face.font, face.size) * 1.25 * len(lines)
    slack = max(0.0, paper.height - height)
    top = slack / 2 if rng.random() < 0.5 else rng.uniform(0, slack)
    return draw_lines(rng, paper, lines, [face] * len(lines), round(top)), face


def make_sample(rng: random.Random, held_out: bool = False) -> Sample:
    """A few large lines; the answer is the text alone, line by line."""
    for _ in range(8):
        paper = choose_paper(rng)
        face = choose_text_face(rng, paper, held_out)
        lines = write_lines(rng, face.case, held_out)
        picture, face = draw_text(rng, paper, lines, face)
        if face.size * paper.scale >= LEGIBLE:
            break
    answer = "\n".join(lines)
    return Sample("ocr", (picture,), rng.choice(QUESTIONS), answer)


def make_word(rng: random.Random, held_out: bool = False) -> Sample:
    """One or two large words on one or two lines, to begin reading with."""
    paper = choose_paper(rng)
    face = choose_face(rng, 18 / paper.scale, 84 / paper.scale, held_out)
    lines = write_phrase(rng, face.case, held_out)
    picture, _ = draw_text(rng, paper, lines, face)
    return Sample("ocr", (picture,), rng.choice(QUESTIONS), "\n".join(lines))


def make_lines(rng: random.Random, low: float, high: float, held_out: bool = False) -> Sample:
    """One to four lines of `low` to `high` picture pixels; only evaluation uses them."""
    while True:
        paper = choose_paper(rng)
        face = choose_face(rng, low, high, held_out)
        lines = write_lines(rng, face.case, held_out)
        picture, fitted = draw_text(rng, paper, lines, face)
        is_legible = face.size * paper.scale >= LEGIBLE
        if len(lines) <= 4 and fitted.size == face.size and is_legible:
            return Sample("ocr", (picture,), rng.choice(QUESTIONS), "\n".join(lines))
