"""Finds images that make the embedded checkpoint repeat itself or comment, for regression tests.

`python -m tests.support.repeating` has it read drawn images, with repetition neither ended nor cut
and comments not cleaned off, until enough are found, and writes their kinds and numbers to
tests/data/repeating.json. Run it again when the weights have changed. Repetition and comments are
detected here by other rules than in phi3v.conversation.repetition and phi3v.results.cleaning, so
that these can be tested against them.
"""

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from phi3v import Engine, Request, Sampling, Turn, load
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.tasks import OCR, find_preset

FOUND = Path(__file__).parents[1] / "data" / "repeating.json"
COMMAND = "python -m tests.support.repeating"
WANTED = {"loop": 24, "comment": 16}
MAX_PER_KIND = 8  # images of one kind with one fault
BATCH = 16
MAX_BATCHES = 40

DTYPE = "float32"  # gives the same text on every computer, which half precision does not
MAX_NEW_TOKENS = 256
QUESTION = find_preset(OCR).wording(is_embedded=True)
SIDE = 336  # one crop

# What a reader calls repetition: the same a dozen times, over some lines.
MIN_REPEATS, MIN_CHARACTERS = 12, 100
COMMENT = re.compile(r"\b(picture|image|photo|text|checkpoint)\b|--model", re.IGNORECASE)
WORDS = (
    "Harbour Lantern Quartz Velvet Pilgrim Sunday Bakery Orchid Falcon Ticket Museum Copper "
    "Jasmine Thunder Walnut Gravity Kitchen Rocket Meadow Button Winter Anchor OPEN EXIT SALE"
).split()
LETTERS = "XWZOHAMIlmnaoeu8067"


def find_repeat(text: str) -> tuple[str, int]:
    """Return the phrase that a text repeats at its end, and how often; blanks count as one space.

    Of several phrases it is the one that covers most of the text, the shortest of equal ones.
    ("", 0) without repetition.
    """
    text = " ".join(text.split())
    best, most = ("", 0), 0
    for length in range(1, len(text) // 2 + 1):
        phrase = text[-length:]
        times = 1
        while text.endswith(phrase, 0, len(text) - times * length):
            times += 1
        if times > 1 and times * length > most + length:
            best, most = (phrase, times), times * length
    return best


def is_loop(text: str) -> bool:
    """True if a text ends in a word, phrase or character that is repeated too often."""
    phrase, times = find_repeat(text)
    return times >= MIN_REPEATS and times * len(phrase) >= MIN_CHARACTERS


def is_comment(text: str) -> bool:
    """True if a text mentions the image or the model, which none of the drawn texts does."""
    return COMMENT.search(text) is not None


def is_printed(text: str, printed: str) -> bool:
    """True if the image itself repeats the phrase at least as often as the text."""
    (phrase, times), (said, most) = find_repeat(text), find_repeat(printed)
    return phrase.strip() == said.strip() and times <= most


def find_fault(text: str, printed: str) -> str | None:
    """Return the fault, a key of WANTED, of an answer on an image with the text `printed`."""
    if is_loop(text) and not is_printed(text, printed):
        return "loop"
    return "comment" if is_comment(text) else None


def write(size: int, rows: list[str]) -> Image.Image:
    """Draw rows of black text on white; the visible part is stored as info["printed"]."""
    image = Image.new("RGB", (SIDE, SIDE), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for number, row in enumerate(rows):
        draw.text((6, 4 + number * round(size * 1.25)), row, "black", font)
    seen = []
    for row in rows:
        begun = [end for end in range(len(row)) if 6 + font.getlength(row[:end]) < SIDE]
        seen.append(row[: begun[-1] + 1])
    image.info["printed"] = "\n".join(seen)
    return image


def write_run(rng: random.Random) -> Image.Image:
    """Draw one character a few times, on one to six lines."""
    rows = [rng.choice(LETTERS) * rng.randint(4, 11) for _ in range(rng.randint(1, 6))]
    return write(rng.randint(20, 50), rows)


def write_row(rng: random.Random) -> Image.Image:
    """Draw one character from one edge to the other."""
    return write(rng.randint(14, 50), [rng.choice(LETTERS) * 40] * rng.randint(1, 2))


def write_pair(rng: random.Random) -> Image.Image:
    """Draw two alternating characters."""
    pair = "".join(rng.sample(LETTERS, 2))
    return write(rng.randint(24, 50), [pair * rng.randint(3, 8)] * rng.randint(1, 3))


def write_words(rng: random.Random) -> Image.Image:
    """Draw a repeated word, beyond the edge of the image."""
    return write(rng.randint(16, 40), [(rng.choice(WORDS) + " ") * 8] * rng.randint(1, 6))


def draw_on(paint: Callable[[ImageDraw.ImageDraw, random.Random], None]) -> Callable:
    """Return a function that creates a white image and applies `paint` to it."""

    def draw(rng: random.Random) -> Image.Image:
        image = Image.new("RGB", (SIDE, SIDE), "white")
        paint(ImageDraw.Draw(image), rng)
        return image

    return draw


def paint_bars(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """Draw equal vertical bars, like a fence."""
    step, top, height = rng.randint(2, 16), rng.randint(10, 150), rng.randint(20, 120)
    for x in range(6, SIDE - 6, 2 * step):
        draw.rectangle((x, top, x + step - 1, top + height), "black")


def paint_barcode(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """Draw bars and gaps of random widths."""
    x, top, height = 6, rng.randint(10, 150), rng.randint(30, 150)
    while x < SIDE - 6:
        width = rng.randint(1, 6)
        draw.rectangle((x, top, x + width, top + height), "black")
        x += width + rng.randint(2, 7)


def paint_rules(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """Draw horizontal lines, like ruled paper."""
    for y in range(rng.randint(4, 20), SIDE, rng.randint(6, 40)):
        draw.line((8, y, SIDE - 8, y), "black", rng.choice((1, 2, 3)))


def paint_hatching(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """Draw slanted lines."""
    step, width, slant = rng.randint(6, 30), rng.randint(1, 5), rng.randint(10, 120)
    for x in range(-slant, SIDE, step):
        draw.line((x, 100, x + slant, 220), "black", width)


def paint_circles(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """Draw a row of circles, which resemble letters."""
    side, top, width = rng.randint(20, 60), rng.randint(10, 250), rng.randint(2, 9)
    for x in range(6, SIDE - side, round(side * rng.uniform(1.05, 1.4))):
        draw.ellipse((x, top, x + side, top + side), outline="black", width=width)


def paint_noise(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """Draw squares of random grey."""
    side = rng.choice((2, 4, 8, 16))
    for x in range(0, SIDE, side):
        for y in range(0, SIDE, side):
            grey = rng.randrange(256)
            draw.rectangle((x, y, x + side, y + side), (grey, grey, grey))


KINDS: dict[str, Callable[[random.Random], Image.Image]] = {
    "run": write_run,
    "row": write_row,
    "pair": write_pair,
    "words": write_words,
    "bars": draw_on(paint_bars),
    "barcode": draw_on(paint_barcode),
    "rules": draw_on(paint_rules),
    "hatching": draw_on(paint_hatching),
    "circles": draw_on(paint_circles),
    "noise": draw_on(paint_noise),
}


def draw_picture(kind: str, number: int) -> Image.Image:
    """Return the image with a kind and a number; it is the same each time."""
    return KINDS[kind](random.Random(f"{kind} {number}"))


def hash_weights() -> str:
    """Return the SHA-256 of the embedded checkpoint's weights."""
    return hashlib.sha256((EMBEDDED_FOLDER / "model.safetensors").read_bytes()).hexdigest()


def ask_together(engine: Engine, images: list[Image.Image]) -> list[str]:
    """Return the raw answers on images of one size, generated as one batch."""
    processor = engine.processor
    prompt = f"<|user|>\n<|image_1|>\n{QUESTION}<|end|>\n<|assistant|>\n"
    inputs = processor([prompt] * len(images), images, num_crops=1)
    with torch.inference_mode():
        sequences = engine.model.generate(
            **inputs,
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            eos_token_id=engine.stop_token_ids(),
            pad_token_id=processor.tokenizer.pad_token_id,
        )
    new = sequences[:, inputs["input_ids"].shape[1] :]
    return processor.tokenizer.batch_decode(new, skip_special_tokens=True)


def ask_alone(engine: Engine, image: Image.Image) -> str:
    """Return the raw answer on an image from the engine, as a user gets it."""
    turns = (Turn("user", QUESTION, (image,)),)
    request = Request(turns, Sampling(MAX_NEW_TOKENS), num_crops=1, ends_loops=False)
    return "".join(chunk.text for chunk in engine.stream(request))


def find_pictures(engine: Engine) -> Iterator[dict[str, object]]:
    """Yield images with the wanted faults, a batch of each kind in turn, until there are enough.

    Exits if MAX_BATCHES of each kind are not enough.
    """
    of_fault: Counter[str] = Counter()
    of_kind: Counter[tuple[str, str]] = Counter()

    def is_wanted(kind: str, fault: str | None) -> bool:
        is_open = fault is not None and of_fault[fault] < WANTED[fault]
        return is_open and of_kind[kind, fault] < MAX_PER_KIND

    for batch in range(MAX_BATCHES):
        for kind in KINDS:
            if not any(is_wanted(kind, fault) for fault in WANTED):
                continue
            numbers = range(batch * BATCH, (batch + 1) * BATCH)
            images = [draw_picture(kind, number) for number in numbers]
            texts = ask_together(engine, images)
            for number, image, text in zip(numbers, images, texts, strict=True):
                printed = image.info.get("printed", "")
                fault = find_fault(text, printed)
                if not is_wanted(kind, fault):
                    continue
                if find_fault(ask_alone(engine, image), printed) == fault:
                    of_fault[fault] += 1
                    of_kind[kind, fault] += 1
                    yield {"kind": kind, "number": number, "fault": fault}
        if of_fault == WANTED:
            return
    raise SystemExit(f"Only {dict(of_fault)} of {WANTED} were found: think of other pictures.")


def main() -> None:
    """Find the images and write their kinds, numbers and faults."""
    engine = load("embedded", "cpu", DTYPE)
    pictures = []
    for picture in find_pictures(engine):
        pictures.append(picture)
        print(len(pictures), *picture.values(), flush=True)
    lines = ",\n".join(f"  {json.dumps(picture)}" for picture in pictures)
    head = f'"found_by": "{COMMAND}",\n "weights": "{hash_weights()}"'
    FOUND.parent.mkdir(exist_ok=True)
    FOUND.write_text(f'{{{head},\n "pictures": [\n{lines}\n ]}}\n')


if __name__ == "__main__":
    main()
