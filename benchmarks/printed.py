"""Test cases of printed text (lines, books, tables) that no training code draws."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from training.scores import edit_distance, list_cells

FONT_ROOT = Path("/usr/share/fonts/truetype")
FONTS = (
    *("dejavu/DejaVuSans.ttf", "dejavu/DejaVuSans-Bold.ttf", "dejavu/DejaVuSerif.ttf"),
    *("liberation/LiberationSans-Regular.ttf", "liberation/LiberationSerif-Bold.ttf"),
    *("lato/Lato-Regular.ttf", "roboto/unhinted/RobotoTTF/Roboto-Bold.ttf"),
)
UNSEEN_FONTS = (
    *("open-sans/OpenSans-Regular.ttf", "open-sans/OpenSans-Bold.ttf"),
    *("crosextra/Caladea-Regular.ttf", "crosextra/Caladea-Bold.ttf"),
)
SIZES = ((336, 336), (420, 300), (500, 380), (640, 480), (800, 600), (360, 480), (1000, 700))
PRINTED = """
amber anvil apricot autumn balloon barrel basil beacon biscuit blanket bottle branch breeze
candle canyon carpet cedar cellar cherry cinema circus clover coffee comet cottage crystal daisy
dragon eagle ember engine fabric feather ferry flower forest fountain galaxy garden ginger
hammer harvest helmet honey jacket jungle kettle ladder lemon library lizard magnet mango maple
mirror mountain needle nutmeg ocean olive onion oyster paddle parade pebble pencil pillow pocket
potato puzzle quartz rabbit ribbon river saddle salmon season shadow silver sparrow spirit
station summer sunset temple thunder tunnel turtle umbrella valley velvet village violin walnut
warehouse whistle window winter wizard yellow zebra
"""
FIRST = """
Anna Boris Clara David Elena Felix Greta Hugo Irene Jonas Karen Leo Mira Nina
"""
LAST = """
Archer Bennett Costa Dalton Eklund Fischer Garcia Holm Ivanov Jensen Keller
"""
WORDS, FIRST_NAMES, LAST_NAMES = (text.split() for text in (PRINTED, FIRST, LAST))
PAPERS = (
    ((255, 255, 255), (0, 0, 0)),
    ((250, 244, 226), (60, 30, 20)),
    ((24, 30, 60), (240, 240, 240)),
)


@dataclass(frozen=True)
class Case:
    """Pictures, a question, and the judge of its answers.

    It returns 0 to 1, 1 is right; for texts it returns the character error rate.
    """

    images: tuple[Image.Image, ...]
    question: str
    judge: Callable[[str], float]
    wanted: str
    max_new_tokens: int = 200


@cache
def load_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Load a font, or Pillow's own if it is not installed."""
    path = FONT_ROOT / name
    return ImageFont.truetype(str(path), size) if path.exists() else ImageFont.load_default(size)


def write(rng: random.Random, count: int) -> str:
    """Return `count` words in one case, sometimes with a number or a price as the last."""
    case = rng.choice((str.upper, str.lower, str.title, str.title))
    words = [case(rng.choice(WORDS)) for _ in range(count)]
    if rng.random() < 0.15:
        price = f"${rng.randint(1, 99)}.{rng.randint(0, 99):02d}"
        words[-1] = rng.choice((price, str(rng.randint(1, 2099))))
    return " ".join(words)


def judge_text(wanted: str) -> Callable[[str], float]:
    """Return a judge of the character error rate, which ignores white space at line ends."""

    def judge(answer: str) -> float:
        lines = "\n".join(line.strip() for line in answer.strip().splitlines())
        return edit_distance(lines, wanted) / len(wanted)

    return judge


def make_text(rng: random.Random, low: int, high: int, fonts: tuple[str, ...] = FONTS) -> Case:
    """One to four lines of text, of `low` to `high` pixels."""
    while True:
        size = rng.randint(low, high)
        font = load_font(rng.choice(fonts), size)
        width, height = rng.choice(SIZES)
        lines = [write(rng, rng.randint(1, 3)) for _ in range(rng.randint(1, 4))]
        step = size * rng.uniform(1.3, 1.8)
        room = width - max(font.getlength(line) for line in lines) - 16
        spare = height - step * len(lines) - 16
        if room > 0 and spare > 0:
            break
    paper, ink = rng.choice(PAPERS)
    image = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(image)
    left, top = 8 + rng.random() * room, 8 + rng.random() * spare
    for number, line in enumerate(lines):
        pen.text((left, top + number * step), line, font=font, fill=ink)
    text = "\n".join(lines)
    return Case((image,), "Read the text in this image.", judge_text(text), text)


def make_book(rng: random.Random) -> Case:
    """A cover: a title of one to three words on lines of their own, the author below."""
    width, height = rng.choice(((336, 480), (400, 560), (600, 800), (360, 500)))
    paper, ink = rng.choice(PAPERS)
    image = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(image)
    words = [rng.choice(WORDS).upper() for _ in range(rng.randint(1, 3))]
    author = f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
    name = rng.choice(FONTS)
    size = width // 9
    top = height * rng.uniform(0.1, 0.3)
    for word in words:
        pen.text((width / 2, top), word, font=load_font(name, size), fill=ink, anchor="ma")
        top += size * 1.4
    font = load_font(name, max(20, width // 15))
    pen.text((width / 2, height * 0.85), author, font=font, fill=ink, anchor="ma")
    title = " ".join(words)
    wanted = f'The title of the book is "{title}" and the author is {author}.'

    def judge(answer: str) -> float:
        return float(answer == wanted)

    return Case((image,), "What is the title of this book and who wrote it?", judge, wanted)


def make_table(rng: random.Random) -> Case:
    """A ruled table of two to four columns and two to five rows; judged by its right cells."""
    columns, rows = rng.randint(2, 4), rng.randint(2, 5)
    size = rng.randint(20, 26)
    font = load_font(rng.choice(FONTS), size)
    cells = [[rng.choice(WORDS).title() for _ in range(columns)]]
    for _ in range(rows - 1):
        numbers = [str(rng.randint(1, 999)) for _ in range(columns - 1)]
        cells.append([rng.choice(WORDS).title(), *numbers])
    wide, tall = max(font.getlength(cell) for row in cells for cell in row) + 24, size * 2
    image = Image.new("RGB", (round(wide * columns) + 40, tall * rows + 40), "white")
    pen = ImageDraw.Draw(image)
    for r, row in enumerate(cells):
        for c, cell in enumerate(row):
            left, top = 20 + c * wide, 20 + r * tall
            pen.rectangle((left, top, left + wide, top + tall), outline=(90, 90, 90))
            pen.text((left + 12, top + tall / 2), cell, font=font, fill="black", anchor="lm")
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    wanted = [(r, c, cell) for r, row in enumerate(cells) for c, cell in enumerate(row)]

    def judge(answer: str) -> float:
        found = set(list_cells(answer))
        return sum(cell in found for cell in wanted) / len(wanted)

    return Case((image,), "Convert this table to Markdown.", judge, "\n".join(lines))
