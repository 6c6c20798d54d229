"""What the model cannot do: photograph-like pictures, scribbles, noise, knowledge questions.

The answer says so in one sentence, and names the flag that starts a model which can.
"""

import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training import describe, shapes, text
from training.canvas import Paper, Picture, Sample, choose_paper
from training.colours import sample_colour

ANSWER = (
    "This is beyond the small embedded checkpoint; "
    "start the app with --model microsoft/Phi-3.5-vision-instruct."
)
EMPTY = "The picture is empty."
KNOWLEDGE = (
    "Who painted this?",
    "What is the capital of France?",
    "Who is the president?",
    "Where was this photo taken?",
    "What is the weather like?",
    "How old is this person?",
    "Who is this person?",
    "Write a poem about this picture.",
    "Tell me a joke.",
    "What is two plus two?",
    "Translate this to German.",
    "Is this food healthy?",
    "What breed is this dog?",
    "What will happen next?",
    "Why is the sky blue?",
)


def make_noise(rng: random.Random, width: int, height: int) -> np.ndarray:
    """Return smooth noise of several octaves in 0..1, (H, W), like clouds, hills or bark."""
    source = np.random.default_rng(rng.getrandbits(32))
    total = np.zeros((height, width), np.float32)
    power = rng.uniform(0.4, 0.9)
    for octave in range(rng.randint(3, 7)):
        cells = 2 ** (octave + 1)
        small = source.random((cells, max(1, cells * height // width) + 1), np.float32)
        layer = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer) * power**octave
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def colour_noise(rng: random.Random, paper: Paper) -> Image.Image:
    """Draw noise between two colours, perhaps shaded, like sky, sand or leaves."""
    field = make_noise(rng, paper.width, paper.height)[:, :, None]
    low, high = (np.array([rng.randrange(256) for _ in range(3)], np.float32) for _ in range(2))
    pixels = low + (high - low) * field
    if rng.random() < 0.5:  # a second field in the brightness: light and shade
        pixels *= 0.4 + 0.8 * make_noise(rng, paper.width, paper.height)[:, :, None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def draw_scenery(rng: random.Random, paper: Paper) -> Image.Image:
    """Draw a textured landscape: sky above hills that overlap."""
    image = colour_noise(rng, paper)
    for layer in range(rng.randint(1, 4)):
        ground = colour_noise(rng, paper)
        mask = Image.new("L", image.size)
        base = paper.height * (0.3 + 0.18 * layer + rng.uniform(-0.1, 0.1))
        waves = [(rng.uniform(1, 6), rng.uniform(0, 6.3), rng.uniform(0.02, 0.1)) for _ in range(3)]
        outline = [
            (
                x,
                base
                + paper.height * sum(a * math.sin(f * x / paper.width + p) for f, p, a in waves),
            )
            for x in range(0, paper.width + 8, 8)
        ]
        corners = [(paper.width, paper.height), (0, paper.height)]
        ImageDraw.Draw(mask).polygon([*outline, *corners], fill=255)
        image.paste(ground, mask=mask.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3))))
    return image


def draw_bodies(rng: random.Random, paper: Paper) -> Image.Image:
    """Draw many shaded ellipses over noise, like heads, fruit or stones."""
    image = colour_noise(rng, paper)
    for _ in range(rng.randint(2, 14)):
        width = rng.uniform(0.08, 0.6) * paper.width
        height = width * rng.uniform(0.4, 1.8)
        x, y = rng.uniform(-0.1, 1) * paper.width, rng.uniform(-0.1, 1) * paper.height
        mask = Image.new("L", image.size)
        ImageDraw.Draw(mask).ellipse((x, y, x + width, y + height), fill=255)
        mask = mask.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 6)))
        image.paste(colour_noise(rng, paper), mask=mask)
    return image


def draw_scribble(rng: random.Random, paper: Paper) -> Image.Image:
    """Draw curves that resemble handwriting, or a tangle."""
    image = paper.blank()
    draw = ImageDraw.Draw(image)
    for line in range(rng.randint(1, 5)):
        x, y = paper.width * rng.uniform(0.02, 0.3), paper.height * (0.15 + 0.17 * line)
        points = []
        while x < paper.width * rng.uniform(0.6, 0.98):
            points.append((x, y + rng.gauss(0, paper.height * 0.04)))
            x += rng.uniform(-4, 16) / 400 * paper.width
        if len(points) > 1:
            draw.line(points, fill=paper.ink, width=rng.randint(1, 5), joint="curve")
    return image


def draw_static(rng: random.Random, paper: Paper) -> Image.Image:
    """Draw independent noise per pixel or per block."""
    block = rng.choice((1, 1, 2, 4, 8))
    size = (max(1, paper.height // block), max(1, paper.width // block), 3)
    source = np.random.default_rng(rng.getrandbits(32))
    pixels = source.integers(0, 256, size, dtype=np.uint8)
    return Image.fromarray(pixels).resize((paper.width, paper.height), Image.Resampling.NEAREST)


def draw_gradient(rng: random.Random, paper: Paper) -> Image.Image:
    """Draw a gradient between two colours in a random direction, with a little grain."""
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0 : paper.height, 0 : paper.width].astype(np.float32)
    field = x * math.cos(angle) / paper.width + y * math.sin(angle) / paper.height
    field = ((field - field.min()) / max(float(np.ptp(field)), 1e-6))[:, :, None]
    low, high = (np.array([rng.randrange(256) for _ in range(3)], np.float32) for _ in range(2))
    grain = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(0, 12), field.shape)
    return Image.fromarray((low + (high - low) * field + grain).clip(0, 255).astype(np.uint8))


DRAWERS = (draw_scenery, draw_bodies, draw_scenery, colour_noise, draw_scribble, draw_static)


def draw_beyond(rng: random.Random) -> Picture:
    """Draw a picture that the model cannot describe; it has no marks."""
    paper = choose_paper(rng)
    drawer = rng.choice((*DRAWERS, draw_gradient))
    image = drawer(rng, paper)
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 2)))
    return Picture(image, ())


def draw_empty(rng: random.Random) -> Picture:
    """Draw a picture of one plain colour."""
    paper = choose_paper(rng)
    colour = paper.background if rng.random() < 0.6 else sample_colour(rng, "gray")
    return Picture(Image.new("RGB", (paper.width, paper.height), colour), ())


def make_sample(rng: random.Random, held_out: bool = False) -> Sample:
    """A picture beyond the model, an empty one, or a knowledge question about a readable one."""
    roll = rng.random()
    if roll < 0.15:
        makers = (text.make_word, shapes.make_sample, describe.make_sample)
        (picture,) = rng.choice(makers)(rng, held_out).pictures
        return Sample("beyond", (picture,), rng.choice(KNOWLEDGE), ANSWER)
    question = rng.choice(shapes.QUESTIONS if rng.random() < 0.65 else text.QUESTIONS)
    if roll < 0.25:
        return Sample("beyond", (draw_empty(rng),), question, EMPTY)
    return Sample("beyond", (draw_beyond(rng),), question, ANSWER)
