"""Test cases of conversations, three pictures and A4 pages, which no training code draws.

A conversation is three questions about the same pictures.
"""

import io
import random
import re
from collections.abc import Callable
from ctypes import POINTER, c_ushort, cast

import pypdfium2
from PIL import Image, ImageDraw
from pypdfium2 import raw as pdfium

from benchmarks.drawn import COLOURS, NUMBERS, SHAPES, Scene, draw_scene, draw_shape, judge_words
from benchmarks.printed import (
    FIRST_NAMES,
    FONTS,
    LAST_NAMES,
    PAPERS,
    WORDS,
    Case,
    judge_text,
    load_font,
)
from phi3v.documents.pages import render_page

Conversation = tuple[Case, ...]  # questions about the same pictures, asked one after the other

PLACES = ("top left", "top right", "bottom left", "bottom right", "top", "bottom", "left", "right")
PLACE = re.compile("|".join((*PLACES, "centre", "center", "middle")))
ORDINALS = ("first", "second", "third")
ORDINAL = re.compile(r"\b(first|second|third)\b|\b(?:image|picture) ([123])\b")
A4 = (595.28, 841.89)  # points
PDF_FONTS = ("Helvetica", "Helvetica-Bold", "Times-Roman", "Times-Bold", "Courier")
MOST_CHARACTERS = 560  # on a page: the context has room for about as many tokens beside nine crops
PAGE_TOKENS = 800  # of an answer to a page: one a character, and room for wrong ones


def judge_one(wanted: str, among: re.Pattern[str] | tuple[str, ...]) -> Callable[[str], float]:
    """Return a judge: 1 if the answer names `wanted` and nothing else of its kind, else 0."""
    pattern = among if isinstance(among, re.Pattern) else re.compile(rf"\b({'|'.join(among)})\b")

    def judge(answer: str) -> float:
        return float({match[0] for match in pattern.finditer(answer.lower())} == {wanted})

    return judge


def judge_number(count: int) -> Callable[[str], float]:
    """Return a judge of a count, which may follow a list after a colon."""

    def judge(answer: str) -> float:
        words = re.findall(r"\w+", answer.rpartition(":")[2].lower())
        known = [*NUMBERS, *map(str, range(len(NUMBERS)))]
        return float([word for word in words if word in known] in ([NUMBERS[count]], [str(count)]))

    return judge


def judge_ordinal(index: int) -> Callable[[str], float]:
    """Return a judge: 1 if the last picture that is named is this one, counted from 0."""

    def judge(answer: str) -> float:
        named = [match[1] or ORDINALS[int(match[2]) - 1] for match in ORDINAL.finditer(answer)]
        return float(named[-1:] == [ORDINALS[index]])

    return judge


def ask_about_shapes(rng: random.Random) -> Conversation:
    """Colour of a shape, where "it" is, and how many there are in all."""
    while True:
        scene = draw_scene(rng, rng.randint(1, 3))
        kinds = [name.split()[1] for name in scene.names]
        lone = [index for index, kind in enumerate(kinds) if kinds.count(kind) == 1]
        if lone:
            break
    index = rng.choice(lone)
    colour, kind = scene.names[index].split()
    return make_conversation(
        (scene.image,),
        (f"What colour is the {kind}?", judge_one(colour, tuple(COLOURS)), colour),
        ("Where is it?", judge_one(scene.places[index], PLACE), scene.places[index]),
        (
            rng.choice(("And how many shapes are there in all?", "How many are there altogether?")),
            judge_number(len(scene.names)),
            NUMBERS[len(scene.names)],
        ),
    )


def ask_about_two_shapes(rng: random.Random) -> Conversation:
    """Which of two shapes is larger, what "the other one" is, and where."""
    scene, (large, small) = draw_sizes(rng)
    size = rng.choice(("larger", "bigger"))
    first, second = (scene.names[index] for index in (large, small))
    place = scene.places[small]
    return make_conversation(
        (scene.image,),
        (f"Which shape is {size}?", judge_one(first.split()[1], SHAPES), first),
        ("What colour is the other one?", judge_one(second.split()[0], tuple(COLOURS)), second),
        ("And where is it?", judge_one(place, PLACE), place),
    )


def draw_sizes(rng: random.Random) -> tuple[Scene, tuple[int, int]]:
    """Draw a large and a small shape side by side; return their indices, too."""
    image = Image.new("RGB", rng.choice(((420, 320), (480, 400), (640, 480))), "white")
    width, height = image.size
    colours, kinds = rng.sample(list(COLOURS), 2), rng.sample(SHAPES, 2)
    large = rng.randrange(2)
    for side in (0, 1):
        radius = height * (rng.uniform(0.26, 0.32) if side == large else rng.uniform(0.1, 0.15))
        ink = COLOURS[colours[side]]
        middle = width * (side + 0.5) / 2
        draw_shape(ImageDraw.Draw(image), kinds[side], middle, height / 2, radius, ink)
    names = tuple(f"{colour} {kind}" for colour, kind in zip(colours, kinds, strict=True))
    return Scene(image, names, ("left", "right")), (large, 1 - large)


def ask_about_a_sign(rng: random.Random) -> Conversation:
    """What a sign says, how many words that is, and something that it cannot tell."""
    words = [word.upper() for word in rng.sample(WORDS, rng.randint(1, 3))]
    image = draw_sign(rng, words)
    beyond = rng.choice(("Who wrote it?", "How old is it?", "Where was it taken?"))
    return make_conversation(
        (image,),
        ("What does it say?", judge_right("\n".join(words)), " / ".join(words)),
        ("How many words are there?", judge_number(len(words)), NUMBERS[len(words)]),
        (beyond, judge_words("can't tell"), "can't tell"),
    )


def judge_right(wanted: str) -> Callable[[str], float]:
    """Return a judge: 1 if the answer is this text, whatever its line breaks, else 0."""
    judge = judge_text(" ".join(wanted.split()))
    return lambda answer: float(judge(" ".join(answer.split())) == 0)


def draw_sign(rng: random.Random, words: list[str]) -> Image.Image:
    """Draw words below one another."""
    paper, ink = rng.choice(PAPERS)
    image = Image.new("RGB", (420, 320), paper)
    font = load_font(rng.choice(FONTS), rng.randint(30, 40))
    for row, word in enumerate(words):
        at = (210, 320 * (row + 1) / (len(words) + 1))
        ImageDraw.Draw(image).text(at, word, font=font, fill=ink, anchor="mm")
    return image


def ask_about_two_pictures(rng: random.Random) -> Conversation:
    """What image 2 shows, what the other one does, and whether they are the same."""
    first, second = (draw_scene(rng, 1) for _ in range(2))
    while second.names == first.names:
        second = draw_scene(rng, 1)
    return make_conversation(
        (first.image, second.image),
        ("What does image 2 show?", judge_words(second.names[0]), second.names[0]),
        ("And the other one?", judge_words(first.names[0]), first.names[0]),
        ("Where is the shape in image 1?", judge_one(first.places[0], PLACE), first.places[0]),
    )


def make_conversation(
    images: tuple[Image.Image, ...], *questions: tuple[str, Callable[[str], float], str]
) -> Conversation:
    """Return a conversation of (question, judge, what is wanted) about images."""
    return tuple(Case(images, *question) for question in questions)


ASK = (ask_about_shapes, ask_about_two_shapes, ask_about_a_sign, ask_about_two_pictures)


def ask_anything(rng: random.Random) -> Conversation:
    """A conversation of one of the kinds."""
    return rng.choice(ASK)(rng)


def make_odd_one(rng: random.Random) -> Case:
    """Three pictures of a shape or a word each, two of them identical; asks for the odd one."""
    odd = rng.randrange(3)
    if rng.random() < 0.6:
        scenes = [draw_scene(rng, 1) for _ in range(2)]
        while scenes[0].names == scenes[1].names:
            scenes[1] = draw_scene(rng, 1)
        pair = [scene.image for scene in scenes]
    else:
        state = rng.getrandbits(32)
        words = rng.sample(WORDS, 2)
        pair = [draw_sign(random.Random(state), [word.upper()]) for word in words]
    images = tuple(pair[1] if index == odd else pair[0] for index in range(3))
    question = rng.choice(
        (
            "Which picture is different from the others?",
            "Which image is the odd one out?",
            "Which of the three pictures differs?",
        )
    )
    return Case(images, question, judge_ordinal(odd), ORDINALS[odd])


def make_page(rng: random.Random, low: float, high: float) -> Case:
    """An A4 page of a PDF, with a heading and lines of `low` to `high` points; to be read."""
    size = rng.uniform(low, high)
    heading = min(high, size * rng.uniform(1.0, 1.5))
    most = min(rng.randint(3, 30), int((A4[1] - 150) / (size * 1.5)))
    lines, total = [write_line(rng, heading)], 0
    while len(lines) < most and total < MOST_CHARACTERS:
        lines.append(write_line(rng, size))
        total += len(lines[-1]) + 1
    document = pypdfium2.PdfDocument.new()
    page = document.new_page(*A4)
    font, y = rng.choice(PDF_FONTS), A4[1] - 72 - heading
    left = rng.uniform(50, 75)
    for number, line in enumerate(lines):
        write_text(document, page, line, font, heading if number == 0 else size, (left, y))
        y -= size * 1.5 * (1.4 if number == 0 else 1.0)
    pdfium.FPDFPage_GenerateContent(page)
    file = io.BytesIO()
    document.save(file)
    text = "\n".join(lines)
    image = render_page(file.getvalue(), 1, "page.pdf")
    return Case((image,), "Read the text in this image.", judge_text(text), text, PAGE_TOKENS)


def write_line(rng: random.Random, size: float) -> str:
    """Write a sentence, a name, a city with a number, or a few words, as wide as a page is."""
    most = int((A4[0] - 150) / (size * 0.62))  # characters; Courier is 0.6 of its size wide
    name = f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
    thing, other = rng.sample(WORDS, 2)
    hour = rng.randint(1, 12)
    options = (
        f"The {thing} is open",
        f"{name} has the {other} and the {thing}.",
        f"{thing.title()} {rng.randint(1, 999)}",
        f"{name}, {rng.randint(1900, 2030)}",
        f"Meet us at the {other} at {hour} o'clock.",
        f"{thing} {other}",
        f"Total: ${rng.randint(1, 900)}.{rng.randint(0, 99):02d}",
    )
    short = [option for option in options if len(option) <= most]
    return rng.choice(short or [thing[:most]])


def write_text(
    document: pypdfium2.PdfDocument,
    page: pypdfium2.PdfPage,
    text: str,
    font: str,
    size: float,
    at: tuple[float, float],
) -> None:
    """Write a line of text on a page of a PDF, its base line beginning at a point."""
    drawn = pdfium.FPDFPageObj_NewTextObj(document, font.encode(), size)
    units = (text + "\0").encode("utf-16-le")
    pdfium.FPDFText_SetText(drawn, cast(units, POINTER(c_ushort)))
    pdfium.FPDFPageObj_Transform(drawn, 1, 0, 0, 1, *at)
    pdfium.FPDFPage_InsertObject(page, drawn)
