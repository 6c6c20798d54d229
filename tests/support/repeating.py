"""Pictures that make the embedded checkpoint repeat itself or comment: found by trying, then kept.

`python -m tests.support.repeating` lets it read drawn pictures, with nothing that ends loops and nothing that
cleans answers, until enough are found, and writes which they were to tests/data/repeating.json. Run
it again when the weights have changed. What counts as a loop or a comment is told here in other
ways than in phi3v.conversation.repetition and phi3v.results.cleaning, so that one can be held against the other.
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
MOST_OF_A_KIND = 8  # with one fault
BATCH = 16
MOST_BATCHES = 40

DTYPE = "float32"  # gives the same words on every computer, which half precision does not
MAX_NEW_TOKENS = 256
QUESTION = find_preset(OCR).wording(is_embedded=True)
SIDE = 336  # one crop

# A loop as people see it: a dozen times the same, over some lines.
LEAST_TIMES, LEAST_CHARACTERS = 12, 100
COMMENT = re.compile(r"\b(picture|image|photo|text|checkpoint)\b|--model", re.IGNORECASE)
WORDS = (
    "Harbour Lantern Quartz Velvet Pilgrim Sunday Bakery Orchid Falcon Ticket Museum Copper "
    "Jasmine Thunder Walnut Gravity Kitchen Rocket Meadow Button Winter Anchor OPEN EXIT SALE"
).split()
LETTERS = "XWZOHAMIlmnaoeu8067"


def find_repeat(text: str) -> tuple[str, int]:
    """What a text says again and again at its end, and how often; blanks count as one space.

    Of several phrases it is the one that takes most of the text, the shortest of equal ones.
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
    """Whether a text ends in the same word, phrase or character again and again."""
    phrase, times = find_repeat(text)
    return times >= LEAST_TIMES and times * len(phrase) >= LEAST_CHARACTERS


def is_comment(text: str) -> bool:
    """Whether a text speaks of the picture or the network; none of the pictures does."""
    return COMMENT.search(text) is not None


def is_printed(text: str, printed: str) -> bool:
    """Whether what a text says again and again is in the picture as often."""
    (phrase, times), (said, most) = find_repeat(text), find_repeat(printed)
    return phrase.strip() == said.strip() and times <= most


def find_fault(text: str, printed: str) -> str | None:
    """What is wrong with an answer about a picture that says `printed`, by the names in WANTED."""
    if is_loop(text) and not is_printed(text, printed):
        return "loop"
    return "comment" if is_comment(text) else None


def write(size: int, rows: list[str]) -> Image.Image:
    """Rows of black print on white; what of them is in the picture goes along as `printed`."""
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
    """One character a few times, on a line or several."""
    rows = [rng.choice(LETTERS) * rng.randint(4, 11) for _ in range(rng.randint(1, 6))]
    return write(rng.randint(20, 50), rows)


def write_row(rng: random.Random) -> Image.Image:
    """One character from one edge to the other."""
    return write(rng.randint(14, 50), [rng.choice(LETTERS) * 40] * rng.randint(1, 2))


def write_pair(rng: random.Random) -> Image.Image:
    """Two characters in turns."""
    pair = "".join(rng.sample(LETTERS, 2))
    return write(rng.randint(24, 50), [pair * rng.randint(3, 8)] * rng.randint(1, 3))


def write_words(rng: random.Random) -> Image.Image:
    """A word again and again, over the edge of the picture."""
    return write(rng.randint(16, 40), [(rng.choice(WORDS) + " ") * 8] * rng.randint(1, 6))


def draw_on(paint: Callable[[ImageDraw.ImageDraw, random.Random], None]) -> Callable:
    """A function that draws a picture, of one that paints on white."""

    def draw(rng: random.Random) -> Image.Image:
        image = Image.new("RGB", (SIDE, SIDE), "white")
        paint(ImageDraw.Draw(image), rng)
        return image

    return draw


def paint_bars(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """A fence."""
    step, top, height = rng.randint(2, 16), rng.randint(10, 150), rng.randint(20, 120)
    for x in range(6, SIDE - 6, 2 * step):
        draw.rectangle((x, top, x + step - 1, top + height), "black")


def paint_barcode(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """Bars and gaps of many widths."""
    x, top, height = 6, rng.randint(10, 150), rng.randint(30, 150)
    while x < SIDE - 6:
        width = rng.randint(1, 6)
        draw.rectangle((x, top, x + width, top + height), "black")
        x += width + rng.randint(2, 7)


def paint_rules(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """Ruled paper."""
    for y in range(rng.randint(4, 20), SIDE, rng.randint(6, 40)):
        draw.line((8, y, SIDE - 8, y), "black", rng.choice((1, 2, 3)))


def paint_hatching(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """Slanted lines."""
    step, width, slant = rng.randint(6, 30), rng.randint(1, 5), rng.randint(10, 120)
    for x in range(-slant, SIDE, step):
        draw.line((x, 100, x + slant, 220), "black", width)


def paint_circles(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """Circles in a row, which are no letters."""
    side, top, width = rng.randint(20, 60), rng.randint(10, 250), rng.randint(2, 9)
    for x in range(6, SIDE - side, round(side * rng.uniform(1.05, 1.4))):
        draw.ellipse((x, top, x + side, top + side), outline="black", width=width)


def paint_noise(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """Grey squares at random."""
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
    """One of the pictures that are tried; the same each time."""
    return KINDS[kind](random.Random(f"{kind} {number}"))


def weigh() -> str:
    """A fingerprint of the embedded checkpoint's weights."""
    return hashlib.sha256((EMBEDDED_FOLDER / "model.safetensors").read_bytes()).hexdigest()


def ask_together(engine: Engine, images: list[Image.Image]) -> list[str]:
    """The raw answers about pictures of one size, which are written at the same time."""
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
    """The raw answer about a picture, as it is written for a user."""
    turns = (Turn("user", QUESTION, (image,)),)
    request = Request(turns, Sampling(MAX_NEW_TOKENS), num_crops=1, ends_loops=False)
    return "".join(chunk.text for chunk in engine.stream(request))


def find_pictures(engine: Engine) -> Iterator[dict[str, object]]:
    """Pictures with the faults that are wanted, of all kinds in turns, until there are enough."""
    of_fault: Counter[str] = Counter()
    of_kind: Counter[tuple[str, str]] = Counter()

    def is_wanted(kind: str, fault: str | None) -> bool:
        is_open = fault is not None and of_fault[fault] < WANTED[fault]
        return is_open and of_kind[kind, fault] < MOST_OF_A_KIND

    for batch in range(MOST_BATCHES):
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
    """Find the pictures and write which they are."""
    engine = load("embedded", "cpu", DTYPE)
    pictures = []
    for picture in find_pictures(engine):
        pictures.append(picture)
        print(len(pictures), *picture.values(), flush=True)
    lines = ",\n".join(f"  {json.dumps(picture)}" for picture in pictures)
    head = f'"found_by": "{COMMAND}",\n "weights": "{weigh()}"'
    FOUND.parent.mkdir(exist_ok=True)
    FOUND.write_text(f'{{{head},\n "pictures": [\n{lines}\n ]}}\n')


if __name__ == "__main__":
    main()
