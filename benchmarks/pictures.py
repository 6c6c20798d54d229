"""Pictures and questions that no code of the training draws, and how answers to them are judged."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

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
COLOURS = {
    "red": (215, 38, 38),
    "green": (36, 142, 58),
    "blue": (38, 82, 212),
    "yellow": (244, 214, 42),
    "orange": (244, 138, 28),
    "purple": (126, 48, 162),
    "pink": (244, 120, 170),
    "black": (18, 18, 18),
}
SHAPES = ("circle", "square", "triangle", "star")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
PAPERS = (
    ((255, 255, 255), (0, 0, 0)),
    ((250, 244, 226), (60, 30, 20)),
    ((24, 30, 60), (240, 240, 240)),
)
PLACED = re.compile(
    r"\ban? (\w+ \w+) (?:at|in) the ((?:top|bottom)(?: left| right)?|left|right|centre)\b",
    re.IGNORECASE,
)
Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Case:
    """Pictures, a question, and how right an answer is (0 to 1; of texts: wrong characters)."""

    images: tuple[Image.Image, ...]
    question: str
    judge: Callable[[str], float]
    wanted: str


@cache
def load_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font; Pillow's own where it is not installed."""
    path = FONT_ROOT / name
    return ImageFont.truetype(str(path), size) if path.exists() else ImageFont.load_default(size)


def write(rng: random.Random, count: int) -> str:
    """So many words in one case, now and then a number or a price."""
    case = rng.choice((str.upper, str.lower, str.title, str.title))
    words = [case(rng.choice(WORDS)) for _ in range(count)]
    if rng.random() < 0.15:
        price = f"${rng.randint(1, 99)}.{rng.randint(0, 99):02d}"
        words[-1] = rng.choice((price, str(rng.randint(1, 2099))))
    return " ".join(words)


def judge_text(wanted: str) -> Callable[[str], float]:
    """Wrong characters for each one wanted, whatever the white space at line ends."""

    def judge(answer: str) -> float:
        lines = "\n".join(line.strip() for line in answer.strip().splitlines())
        return edit_distance(lines, wanted) / len(wanted)

    return judge


def judge_words(*wanted: str) -> Callable[[str], float]:
    """Whether all of these stand in the answer."""
    return lambda answer: float(all(part.lower() in answer.lower() for part in wanted))


def make_text(rng: random.Random, low: int, high: int, fonts: tuple[str, ...] = FONTS) -> Case:
    """One to four lines; their size in pixels is between two."""
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
    """Two to four columns, two to five rows, ruled; the share of right cells."""
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


def make_chart(rng: random.Random, is_printed: bool) -> Case:
    """Bars by year, month or word, with their values or with an axis only; which is the highest."""
    count = rng.randint(3, 6)
    first = rng.randint(1995, 2024)
    labels = rng.choice(
        ([str(first + i) for i in range(count)], ["Jan", "Feb", "Mar", "Apr", "May", "Jun"][:count])
    )
    values = rng.sample(range(10, 100), count)
    while sorted(values)[-1] - sorted(values)[-2] < 6:
        values = rng.sample(range(10, 100), count)
    width, height = rng.choice(((480, 400), (560, 420), (800, 600)))
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    size = round(width / 24)
    font = load_font(rng.choice(FONTS), size)
    title = f"{rng.choice(WORDS).title()} sales"
    pen.text((width / 2, size * 0.5), title, font=font, fill="black", anchor="ma")
    left, base, top = size * 3.2, height - size * 2.4, size * 3.5
    pen.line((left, top - size, left, base), fill="black", width=2)
    pen.line((left, base, width - size, base), fill="black", width=2)
    if not is_printed:
        for tick in range(0, 101, 25):
            y = base - (base - top) * tick / 100
            pen.text((left - 6, y), str(tick), font=font, fill="black", anchor="rm")
    slot = (width - size - left) / count
    colour = rng.choice(list(COLOURS.values()))
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        x, y = left + slot * (number + 0.5), base - (base - top) * value / 100
        pen.rectangle((x - slot * 0.3, y, x + slot * 0.3, base), fill=colour)
        pen.text((x, base + size * 0.4), label, font=font, fill="black", anchor="ma")
        if is_printed:
            pen.text((x, y - 3), str(value), font=font, fill="black", anchor="mb")
    best = labels[values.index(max(values))]

    def judge(answer: str) -> float:
        told = answer.lower().rpartition("the highest")[2] or answer
        return float([label for label in labels if label.lower() in told.lower()] == [best])

    return Case((image,), "Which bar is the highest?", judge, f"{best} ({max(values)})")


def draw_shape(pen: ImageDraw.ImageDraw, kind: str, x: float, y: float, r: float, ink: Rgb) -> None:
    """A shape around a point."""
    if kind == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=ink)
    elif kind == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), fill=ink)
    else:
        corners = 3 if kind == "triangle" else 10
        points = []
        for corner in range(corners):
            length = r if kind == "triangle" or corner % 2 == 0 else r * 0.42
            angle = 2 * np.pi * corner / corners - np.pi / 2
            points.append((x + length * np.cos(angle), y + length * np.sin(angle)))
        pen.polygon(points, fill=ink)


@dataclass(frozen=True)
class Scene:
    """Shapes in cells of a 3 x 3 grid, and their names with articles and places."""

    image: Image.Image
    names: tuple[str, ...]
    places: tuple[str, ...]


def draw_scene(rng: random.Random, count: int) -> Scene:
    """So many shapes of different names."""
    width, height = rng.choice(((336, 336), (420, 420), (480, 400), (640, 560)))
    image = Image.new("RGB", (width, height), rng.choice(("white", (245, 240, 225))))
    pen = ImageDraw.Draw(image)
    rows, columns = ("top", "", "bottom"), ("left", "", "right")
    pairs = rng.sample([(colour, kind) for colour in COLOURS for kind in SHAPES], count)
    names, places = [], []
    for cell, (colour, kind) in zip(sorted(rng.sample(range(9), count)), pairs, strict=True):
        x, y = width * (cell % 3 + 0.5) / 3, height * (cell // 3 + 0.5) / 3
        radius = min(width, height) / 6 * rng.uniform(0.55, 0.85)
        draw_shape(pen, kind, x, y, radius, COLOURS[colour])
        names.append(f"{colour} {kind}")
        places.append(f"{rows[cell // 3]} {columns[cell % 3]}".strip() or "centre")
    return Scene(image, tuple(names), tuple(places))


def make_objects(rng: random.Random) -> Case:
    """One to three shapes: colour, shape and place of all of them."""
    scene = draw_scene(rng, rng.randint(1, 3))
    pairs = sorted(zip(scene.names, scene.places, strict=True))

    def judge(answer: str) -> float:
        found = PLACED.findall(answer)
        return float(sorted((name.lower(), place.strip()) for name, place in found) == pairs)

    question = "Describe the image and say where everything is."
    return Case((scene.image,), question, judge, str(pairs))


def make_count(rng: random.Random) -> Case:
    """One to five shapes, counted."""
    count = rng.randint(1, 5)
    scene = draw_scene(rng, count)

    def judge(answer: str) -> float:
        words = re.findall(r"\w+", answer.rpartition(":")[2].lower())
        return float([word for word in words if word in NUMBERS] == [NUMBERS[count]])

    return Case((scene.image,), "How many shapes are there?", judge, NUMBERS[count])


def make_pair(rng: random.Random, is_same: bool) -> Case:
    """Two pictures of a shape or of print, which differ in one thing or in none."""
    if rng.random() < 0.5:
        state = rng.getrandbits(32)
        drawn = draw_scene(random.Random(state), 1)
        other = drawn
        while not is_same and other.names == drawn.names:
            other = draw_scene(rng, 1)
        images, told = (drawn.image, other.image), (drawn.names[0], other.names[0])
    else:
        words = rng.sample(WORDS, 2)
        told = (words[0].upper(), words[0 if is_same else 1].upper())
        font = load_font(rng.choice(FONTS), rng.randint(32, 44))
        paper, ink = rng.choice(PAPERS)
        images = ()
        for word in told:
            image = Image.new("RGB", (420, 300), paper)
            ImageDraw.Draw(image).text((210, 150), word, font=font, fill=ink, anchor="mm")
            images = (*images, image)
    if is_same:
        judge, wanted = judge_words("identical"), "identical"
    else:
        judge, wanted = judge_words(*told), " / ".join(told)
    return Case(images, "What is the difference between the two images?", judge, wanted)


def make_photo(rng: random.Random) -> Case:
    """Smooth noise in several colours, lit from a side, as photographs of leaves or hills are."""
    source = np.random.default_rng(rng.getrandbits(32))
    width, height = rng.choice(SIZES)
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(1, 8):
        cells = source.random((2**octave, 2**octave, 3), np.float32) * 255
        small = Image.fromarray(cells.astype(np.uint8))
        total += np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)) * 0.62**octave
    total = (total - total.min()) / (total.max() - total.min())
    light = np.linspace(rng.uniform(0.3, 0.8), 1.0, height)[:, None, None]
    image = Image.fromarray((total * light * 255).astype(np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.5)))
    return Case((image,), "Describe the image.", judge_words("--model"), "beyond it")


KINDS: dict[str, Callable[[random.Random], Case]] = {
    "lines of 24 to 56 px, % wrong characters": lambda rng: make_text(rng, 24, 56),
    "lines of 18 to 24 px, % wrong characters": lambda rng: make_text(rng, 18, 24),
    "lines in unseen fonts, % wrong characters": lambda rng: make_text(rng, 24, 56, UNSEEN_FONTS),
    "title and author of a book, % right": make_book,
    "cells of a table, % right": make_table,
    "highest bar, values printed, % right": lambda rng: make_chart(rng, True),
    "highest bar, axis only, % right": lambda rng: make_chart(rng, False),
    "up to three objects with places, % right": make_objects,
    "counts, % right": make_count,
    "pairs that differ, both values, % right": lambda rng: make_pair(rng, False),
    "identical pairs, % right": lambda rng: make_pair(rng, True),
    "photographs refused, %": make_photo,
}
