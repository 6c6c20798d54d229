"""Contact sheets of drawn pictures with their questions and answers."""

import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from training.canvas import Sample
from training.tasks import draw_sample

COLUMNS, SIDE, CAPTION = 4, 336, 84
PAPER = (245, 245, 245)


def wrap(text: str, width: int = 52) -> str:
    """Break text into lines of at most `width` characters."""
    text = text.replace("\n", " / ")
    return "\n".join(text[i : i + width] for i in range(0, len(text), width))


def paste_sample(sheet: Image.Image, sample: Sample, caption: str, left: int, top: int) -> None:
    """Paste a sample's pictures side by side, and the caption below."""
    count = len(sample.pictures)
    for number, picture in enumerate(sample.pictures):
        image = picture.image.copy()
        image.thumbnail((SIDE // count - 4, SIDE - 4))
        sheet.paste(image, (left + number * SIDE // count + 2, top + 2))
    draw = ImageDraw.Draw(sheet)
    draw.text((left + 2, top + SIDE), caption, fill=(0, 0, 0), font=ImageFont.load_default(11))


def draw_sheet(samples: list[tuple[Sample, str]]) -> Image.Image:
    """Draw samples with their captions, four in a row."""
    rows = -(-len(samples) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SIDE, rows * (SIDE + CAPTION)), PAPER)
    for index, (sample, caption) in enumerate(samples):
        left, top = index % COLUMNS * SIDE, index // COLUMNS * (SIDE + CAPTION)
        paste_sample(sheet, sample, caption, left, top)
    return sheet


def preview(seed: int, tasks: dict[str, float], rows: int, path: Path) -> None:
    """Write a sheet of `rows` rows of samples with the right answers."""
    samples = [
        draw_sample(random.Random(f"{seed}:{index}"), tasks) for index in range(rows * COLUMNS)
    ]
    captions = [f"{wrap(sample.question)}\n{wrap(sample.answer)}" for sample in samples]
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_sheet(list(zip(samples, captions, strict=True))).save(path)
