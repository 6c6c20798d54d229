"""Accuracy of the embedded checkpoint on pictures that its training code does not draw.

Its model card has figures for other sizes and kinds of pictures.
"""

import random
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from phi3v import Request, Sampling, Turn, load
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.tasks import COMPARE, DESCRIBE, OCR
from training.scores import edit_distance

COUNT = 36
SIZES = [(336, 336), (400, 300), (480, 360), (512, 512), (320, 200), (360, 420)]
WORDS = (
    "Harbour Lantern Quartz Velvet Pilgrim Sunday Bakery Orchid Falcon Ticket Museum "
    "Copper Jasmine Thunder Walnut Gravity Kitchen Rocket Meadow Button Winter Anchor "
    "Zebra Island Pepper Bridge Guitar Planet Marble Cactus EXIT OPEN STOP SALE HOTEL PARK "
    "LONDON 2024 ROOM 17"
).split()
COLOURS = {
    "red": (214, 40, 40),
    "green": (38, 140, 60),
    "blue": (40, 80, 210),
    "yellow": (245, 215, 40),
    "orange": (245, 140, 30),
    "purple": (125, 50, 160),
    "black": (20, 20, 20),
}
SHAPES = ("circle", "square", "triangle")
# Besides Pillow's own font, those of Debian's fonts-dejavu-core and fonts-liberation.
FONTS = [
    path
    for path in (
        Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
        Path("/usr/share/fonts/truetype/dejavu/DejaVuSerif-Bold.ttf"),
        Path("/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf"),
        Path("/usr/share/fonts/truetype/liberation/LiberationSerif-Regular.ttf"),
    )
    if path.exists()
]


@pytest.fixture(scope="module")
def engine():
    return load("embedded")


def answer(engine, images, question, max_new_tokens=128) -> str:
    turns = (Turn("user", question, tuple(images)),)
    chunks = engine.stream(Request(turns, Sampling(max_new_tokens=max_new_tokens)))
    return "".join(chunk.text for chunk in chunks).strip()


def draw_text(rng: random.Random, text: str, size: tuple[int, int]) -> Image.Image:
    is_dark = rng.random() < 0.3
    paper, ink = ((25, 30, 50), "white") if is_dark else ("white", (20, 20, 30))
    image = Image.new("RGB", size, paper)
    pixels = rng.randint(34, 52)
    path = rng.choice([None, *FONTS])
    font = ImageFont.truetype(path, pixels) if path else ImageFont.load_default(pixels)
    draw = ImageDraw.Draw(image)
    while draw.textlength(text, font) > size[0] - 20:
        pixels -= 1
        font = ImageFont.truetype(path, pixels) if path else ImageFont.load_default(pixels)
    x = rng.uniform(10, size[0] - 10 - draw.textlength(text, font))
    draw.text((x, rng.uniform(10, size[1] - 70)), text, ink, font)
    return image


def draw_shape(rng: random.Random, size: tuple[int, int], colour: str, shape: str) -> Image.Image:
    image = Image.new("RGB", size, rng.choice(["white", (240, 236, 225), (225, 235, 245)]))
    side = rng.randint(80, min(size) - 40)
    left, top = rng.randint(10, size[0] - side - 10), rng.randint(10, size[1] - side - 10)
    box = (left, top, left + side, top + side)
    draw = ImageDraw.Draw(image)
    if shape == "circle":
        draw.ellipse(box, COLOURS[colour])
    elif shape == "square":
        draw.rectangle(box, COLOURS[colour])
    else:
        corners = [(left, top + side), (left + side, top + side), (left + side / 2, top)]
        draw.polygon(corners, COLOURS[colour])
    return image


def test_large_printed_words_are_read(engine):
    rng = random.Random(2024)
    errors = characters = 0
    for _ in range(COUNT):
        text = " ".join(rng.sample(WORDS, rng.randint(1, 2)))
        image = draw_text(rng, text, rng.choice(SIZES))
        errors += edit_distance(text, answer(engine, [image], OCR.default_prompt))
        characters += len(text)
    assert errors / characters < 0.15


def test_the_colour_and_kind_of_one_shape_are_named(engine):
    rng = random.Random(7)
    right = 0
    for _ in range(COUNT):
        colour, shape = rng.choice(list(COLOURS)), rng.choice(SHAPES)
        image = draw_shape(rng, rng.choice(SIZES), colour, shape)
        right += f"{colour} {shape}" in answer(engine, [image], DESCRIBE.default_prompt)
    assert right >= 0.9 * COUNT


def test_the_difference_between_two_pictures_is_named(engine):
    rng = random.Random(11)
    right = 0
    for number in range(COUNT):
        size = rng.choice(SIZES)
        if number % 3 == 0:
            values = rng.sample(WORDS, 2)
            images = [draw_text(random.Random(number), word, size) for word in values]
        else:
            colours, shapes = rng.sample(list(COLOURS), 2), rng.sample(SHAPES, 2)
            if number % 3 == 1:
                shapes[1] = shapes[0]
            else:
                colours[1] = colours[0]
            values = colours if number % 3 == 1 else shapes
            images = [
                draw_shape(random.Random(number), size, colour, shape)
                for colour, shape in zip(colours, shapes, strict=True)
            ]
        text = answer(engine, images, COMPARE.default_prompt)
        right += all(value in text for value in values)
    assert right >= 0.85 * COUNT


def test_the_files_are_small_and_hold_no_pickle():
    files = [file for file in EMBEDDED_FOLDER.iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 24_000_000
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".md", ".png", ".webp"}
