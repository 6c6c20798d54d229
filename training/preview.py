"""A sheet of drawn pictures with their questions and answers, to look at."""

import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from training.canvas import Sample
from training.tasks import draw_sample

COLUMNS, SIDE, CAPTION = 4, 336, 60


def wrap(text: str, width: int = 52) -> str:
    """Lines of at most `width` characters."""
    text = text.replace("\n", " / ")
    return "\n".join(text[i : i + width] for i in range(0, len(text), width))


def paste_sample(sheet: Image.Image, sample: Sample, left: int, top: int) -> None:
    """One sample's pictures side by side, question and answer below."""
    count = len(sample.pictures)
    for number, picture in enumerate(sample.pictures):
        image = picture.image.copy()
        image.thumbnail((SIDE // count - 4, SIDE - 4))
        sheet.paste(image, (left + number * SIDE // count + 2, top + 2))
    caption = f"{wrap(sample.question)}\n{wrap(sample.answer)}"
    draw = ImageDraw.Draw(sheet)
    draw.text((left + 2, top + SIDE), caption, fill=(0, 0, 0), font=ImageFont.load_default(11))


def preview(seed: int, tasks: dict[str, float], rows: int, path: Path) -> None:
    """Write a sheet of `rows` rows of samples."""
    sheet = Image.new("RGB", (COLUMNS * SIDE, rows * (SIDE + CAPTION)), (200, 210, 220))
    for index in range(rows * COLUMNS):
        sample = draw_sample(random.Random(f"{seed}:{index}"), tasks)
        left, top = index % COLUMNS * SIDE, index // COLUMNS * (SIDE + CAPTION)
        paste_sample(sheet, sample, left, top)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
