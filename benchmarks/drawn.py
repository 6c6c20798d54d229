"""Test cases of charts, shapes, pairs and photographs that no training code draws."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.printed import FONTS, PAPERS, SIZES, WORDS, Case, load_font

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
PLACED = re.compile(
    r"\ban? (\w+ \w+) (?:at|in) the ((?:top|bottom)(?: left| right)?|left|right|centre)\b",
    re.IGNORECASE,
)
Rgb = tuple[int, int, int]


def judge_words(*wanted: str) -> Callable[[str], float]:
    """Return a judge: 1 if all of these are in the answer, else 0."""
    return lambda answer: float(all(part.lower() in answer.lower() for part in wanted))


def make_chart(rng: random.Random, is_printed: bool) -> Case:
    """Bars by year or month, with printed values or an axis only; asks for the highest."""
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
        stated = answer.lower().rpartition("the highest")[2]
        return float([label for label in labels if label.lower() in stated] == [best])

    return Case((image,), "Which bar is the highest?", judge, f"{best} ({max(values)})")


def draw_shape(pen: ImageDraw.ImageDraw, kind: str, x: float, y: float, r: float, ink: Rgb) -> None:
    """Draw a shape around a point."""
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
    """Shapes in cells of a 3 x 3 grid, with their names and positions."""

    image: Image.Image
    names: tuple[str, ...]
    places: tuple[str, ...]


def begin_scene(rng: random.Random, count: int) -> tuple[Image.Image, list[tuple[str, str]]]:
    """Return an empty picture, and (colour, kind) of `count` different shapes."""
    size = rng.choice(((336, 336), (420, 420), (480, 400), (640, 560)))
    image = Image.new("RGB", size, rng.choice(("white", (245, 240, 225))))
    return image, rng.sample([(colour, kind) for colour in COLOURS for kind in SHAPES], count)


def end_scene(
    image: Image.Image, pairs: list[tuple[str, str]], drawn: dict[int, tuple[float, float, float]]
) -> Scene:
    """Draw the shapes; `drawn` has centre and radius by the cell that each is in."""
    rows, columns = ("top", "", "bottom"), ("left", "", "right")
    names, places = [], []
    for cell, (colour, kind) in zip(sorted(drawn), pairs, strict=True):
        draw_shape(ImageDraw.Draw(image), kind, *drawn[cell], COLOURS[colour])
        names.append(f"{colour} {kind}")
        places.append(f"{rows[cell // 3]} {columns[cell % 3]}".strip() or "centre")
    return Scene(image, tuple(names), tuple(places))


def draw_scene(rng: random.Random, count: int) -> Scene:
    """Draw `count` shapes of different names, each centred in a ninth of the picture."""
    image, pairs = begin_scene(rng, count)
    (width, height), drawn = image.size, {}
    for cell in sorted(rng.sample(range(9), count)):
        radius = min(width, height) / 6 * rng.uniform(0.55, 0.85)
        drawn[cell] = (width * (cell % 3 + 0.5) / 3, height * (cell // 3 + 0.5) / 3, radius)
    return end_scene(image, pairs, drawn)


def draw_scattered(rng: random.Random, count: int) -> Scene:
    """Draw `count` shapes of any size, anywhere, apart and clear of the cells' borders."""
    image, pairs = begin_scene(rng, count)
    (width, height), drawn = image.size, {}
    most = (0.42, 0.25, 0.2, 0.16, 0.14)[count - 1]
    while len(drawn) < count:
        r = min(width, height) * rng.uniform(0.08, most)
        x, y = rng.uniform(r, width - r), rng.uniform(r, height - r)
        column, row = 3 * x / width, 3 * y / height
        cell = int(row) * 3 + int(column)
        is_clear = all(np.hypot(x - a, y - b) > 1.5 * (r + c) for a, b, c in drawn.values())
        is_placed = all(0.15 < part % 1 < 0.85 for part in (row, column))
        if is_clear and is_placed and cell not in drawn:
            drawn[cell] = (x, y, r)
    return end_scene(image, pairs, drawn)


def make_objects(
    rng: random.Random, draw: Callable[[random.Random, int], Scene] = draw_scene
) -> Case:
    """One to three shapes; asks for colour, kind and position of all of them."""
    scene = draw(rng, rng.randint(1, 3))
    pairs = sorted(zip(scene.names, scene.places, strict=True))

    def judge(answer: str) -> float:
        found = PLACED.findall(answer)
        return float(sorted((name.lower(), place.lower()) for name, place in found) == pairs)

    question = "Describe the image and say where everything is."
    return Case((scene.image,), question, judge, str(pairs))


def make_count(
    rng: random.Random, draw: Callable[[random.Random, int], Scene] = draw_scene
) -> Case:
    """One to five shapes; asks for their number."""
    count = rng.randint(1, 5)
    scene = draw(rng, count)

    def judge(answer: str) -> float:
        words = re.findall(r"\w+", answer.rpartition(":")[2].lower())
        return float([word for word in words if word in NUMBERS] == [NUMBERS[count]])

    return Case((scene.image,), "How many shapes are there?", judge, NUMBERS[count])


def make_pair(rng: random.Random, is_same: bool) -> Case:
    """Two pictures of a shape or a word each, different or identical; asks for the difference."""
    if rng.random() < 0.5:
        state = rng.getrandbits(32)
        drawn = other = draw_scene(random.Random(state), 1)
        while not is_same and other.names == drawn.names:
            other = draw_scene(rng, 1)
        images, names = (drawn.image, other.image), (drawn.names[0], other.names[0])
    else:
        words = rng.sample(WORDS, 2)
        names = (words[0].upper(), words[0 if is_same else 1].upper())
        font = load_font(rng.choice(FONTS), rng.randint(32, 44))
        paper, ink = rng.choice(PAPERS)
        images = ()
        for word in names:
            image = Image.new("RGB", (420, 300), paper)
            ImageDraw.Draw(image).text((210, 150), word, font=font, fill=ink, anchor="mm")
            images = (*images, image)
    wanted = "identical" if is_same else " / ".join(names)
    names_both = judge_words(*names)

    def judge(answer: str) -> float:
        right = is_same or names_both(answer)
        return float(right and ("identical" in answer) == is_same)

    return Case(images, "What is the difference between the two images?", judge, wanted)


def make_photo(rng: random.Random) -> Case:
    """Smooth coloured noise, lit from a side, like photographs of leaves; to be refused."""
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
