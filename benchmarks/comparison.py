"""`python -m benchmarks.comparison`: how well changes between drawn pairs of images are boxed.

Each pair has known changes and what happens to pictures: compression, another size, grain, another
brightness, a turn. Recall is the share of changes of which at least half is in boxes, precision the
share of boxes of which at least half is a change, with the margin by which nearby changes are
merged. ImageMagick's `compare` and pixelmatch (`pip install pixelmatch`) mark pixels, which are
boxed in the same way; neither aligns, so they are also shown for the pairs of one size.
"""

import argparse
import importlib.util
import io
import random
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.__main__ import describe_machine
from phi3v.comparison.changes import Box, Changes, box_changes
from phi3v.comparison.difference import compare_pictures

SIZE = 640, 480
WORDS = [
    "tea",
    "milk",
    "bread",
    "salt",
    "rice",
    "apple",
    "total",
    "date",
    "paid",
    "house",
    "street",
]
COLOURS = ["red", "green", "blue", "orange", "black", "purple"]
MARGIN = 11  # pixels by which changes are merged on a canvas of this size
TWELVE_MEGAPIXELS = 4000, 3000


@dataclass(frozen=True)
class Pair:
    """Two images, the boxes of what changed in the first, and what else was done to the second."""

    first: Image.Image
    second: Image.Image
    boxes: list[Box]
    way: str


def draw_page(rng: random.Random) -> Image.Image:
    """Draw a page of text with numbers."""
    page = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(rng.choice([14, 18, 22]))
    for top in range(20, SIZE[1] - 40, 30):
        line = " ".join(
            rng.choice([*WORDS, f"{rng.randrange(10_000) / 100:.2f}"]) for _ in range(7)
        )
        draw.text((30, top), line, "black", font)
    return page


def draw_shapes(rng: random.Random) -> Image.Image:
    """Draw flat shapes with outlines."""
    image = Image.new("RGB", SIZE, (235, 230, 210))
    draw = ImageDraw.Draw(image)
    for _ in range(10):
        x, y, side = rng.randrange(20, 560), rng.randrange(20, 400), rng.randrange(25, 70)
        draw_shape = rng.choice([draw.ellipse, draw.rectangle])
        draw_shape((x, y, x + side, y + side), rng.choice(COLOURS), "black")
    return image


def draw_scene(rng: random.Random) -> Image.Image:
    """Draw smooth colours with fine detail, like a photograph."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    image = np.zeros((SIZE[1], SIZE[0], 3))
    for cells, weight in ((8, 0.6), (32, 0.3), (96, 0.1)):
        noise = numbers.integers(0, 256, (cells * 3 // 4, cells, 3), np.uint8)
        layer = Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC)
        image += weight * np.asarray(layer)
    return Image.fromarray(image.astype(np.uint8))


def place_box(rng: random.Random, size: tuple[int, int], taken: list[Box]) -> Box:
    """Return a place for a change of a size that touches no other."""
    while True:
        left, top = (
            rng.randrange(90, SIZE[0] - 90 - size[0]),
            rng.randrange(90, SIZE[1] - 90 - size[1]),
        )
        box = left, top, left + size[0], top + size[1]
        far = 3 * MARGIN
        if all(
            box[2] + far < b[0] or b[2] + far < box[0] or box[3] + far < b[1] or b[3] + far < box[1]
            for b in taken
        ):
            return box


def change_image(rng: random.Random, image: Image.Image, taken: list[Box]) -> Box:
    """Change an image in one place, visibly, and return its box."""
    draw = ImageDraw.Draw(image)
    kind = rng.choice(["object", "digit", "line", "stamp", "patch", "dot"])
    if kind == "digit":
        font = ImageFont.load_default(22)
        box = place_box(rng, (14, 20), taken)
        draw.rectangle(box, "white")
        digit = str(rng.randrange(10))
        draw.text((box[0] + 1, box[1] - 3), digit, "black", font)
    elif kind == "line":
        box = place_box(rng, (rng.randrange(40, 120), 1), taken)
        draw.line((box[0], box[1], box[2] - 1, box[1]), rng.choice(["red", "black", "white"]))
    elif kind == "stamp":
        box = place_box(rng, (90, 60), taken)
        draw.ellipse((box[0], box[1], box[2] - 1, box[3] - 1), outline="blue", width=5)
        draw.text((box[0] + 24, box[1] + 18), "PAID", "blue", ImageFont.load_default(18))
    elif kind == "patch":
        box = place_box(rng, (40, 30), taken)
        part = image.crop(box).point(lambda value: value - 70 if value > 128 else value + 70)
        image.paste(part, box)
    else:
        side = 8 if kind == "dot" else rng.randrange(20, 60)
        box = place_box(rng, (side, side), taken)
        draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), rng.choice(["magenta", "cyan"]))
    return box


def compress(image: Image.Image, quality: int) -> Image.Image:
    """Return an image as JPEG gives it back."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def add_grain(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return an image with noise."""
    pixels = np.asarray(image, np.float32)
    noise = np.random.default_rng(rng.randrange(2**32)).normal(0, 8, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


WAYS: dict[str, Callable[[Image.Image, random.Random], Image.Image]] = {
    "as it is": lambda image, rng: image,
    "compressed": lambda image, rng: compress(image, rng.randrange(70, 96)),
    "another size": lambda image, rng: image.resize((800, 600), Image.Resampling.LANCZOS),
    "brighter": lambda image, rng: image.point(lambda value: min(255, value + 30)),
    "grain": add_grain,
    "turned": lambda image, rng: image.transpose(rng.choice(list(Image.Transpose)[2:5])),
    "cropped": lambda image, rng: image.crop((40, 30, 610, 460)),
}


def draw_pair(number: int) -> Pair:
    """Draw a pair; every fifth has no changes."""
    rng = random.Random(number)
    first = rng.choice([draw_page, draw_shapes, draw_scene])(rng)
    second = first.copy()
    boxes: list[Box] = []
    for _ in range(rng.randrange(1, 4) if number % 5 else 0):
        before = second.copy()
        box = change_image(rng, second, boxes)
        changed = np.abs(np.asarray(before, np.int16) - np.asarray(second)).max(axis=2) > 40
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        if len(rows) == 0:  # white on white
            second = before
            continue
        box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        boxes.append(box)
    way = list(WAYS)[number % len(WAYS)]
    return Pair(first, WAYS[way](second, rng), boxes, way)


def paint(boxes: list[Box], margin: int) -> NDArray[np.bool_]:
    """Return a mask of boxes with a margin."""
    mask = np.zeros(SIZE[::-1], bool)
    for left, top, right, bottom in boxes:
        mask[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = True
    return mask


def share_in(box: Box, mask: NDArray[np.bool_]) -> float:
    """Return the share of a box that is in a mask."""
    part = mask[box[1] : box[3], box[0] : box[2]]
    return float(part.mean()) if part.size else 0.0


def judge(found: list[Box], boxes: list[Box]) -> tuple[int, int, int]:
    """Return how many found boxes are right, how many changes were found, and both were missed."""
    true, marked = paint(boxes, MARGIN), paint(found, 0)
    return (
        sum(share_in(box, true) >= 0.5 for box in found),
        sum(share_in(box, marked) >= 0.5 for box in boxes),
        len(found),
    )


def box_by_phi3v(pair: Pair) -> list[Box]:
    """Return the boxes of this project's comparison."""
    return [region.box for region in compare_pictures(pair.first, pair.second).regions]


def box_mask(mask: NDArray[np.bool_]) -> list[Box]:
    """Return the boxes of marked pixels, merged as this project does it."""
    return box_changes(Changes(mask, mask.astype(np.float32)))


def box_by_imagemagick(pair: Pair) -> list[Box]:
    """Return the boxes of what `compare -fuzz 10%` marks."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("first.png", "second.png", "marked.png")]
        pair.first.save(paths[0])
        pair.second.resize(SIZE).save(paths[1])
        flags = ["-fuzz", "10%", "-highlight-color", "white", "-lowlight-color", "black"]
        command = ["compare", *flags, "-compose", "src", *map(str, paths)]
        subprocess.run(command, check=False, capture_output=True)  # 1 if they differ
        return box_mask(np.asarray(Image.open(paths[2]).convert("L")) > 128)


def box_by_pixelmatch(pair: Pair) -> list[Box]:
    """Return the boxes of what pixelmatch marks with its own threshold."""
    from pixelmatch.contrib.PIL import pixelmatch

    marked = Image.new("RGBA", SIZE)
    images = pair.first.convert("RGBA"), pair.second.resize(SIZE).convert("RGBA")
    pixelmatch(*images, marked, diff_mask=True)
    pixels = np.asarray(marked)
    return box_mask((pixels[..., 3] > 0) & (pixels[..., 0] > 200) & (pixels[..., 1] < 100))


def find_others() -> dict[str, Callable[[Pair], list[Box]]]:
    """Return the other programs that are installed."""
    others: dict[str, Callable[[Pair], list[Box]]] = {}
    if shutil.which("compare"):
        others["ImageMagick compare"] = box_by_imagemagick
    if importlib.util.find_spec("pixelmatch"):
        others["pixelmatch"] = box_by_pixelmatch
    return others


def time_large(runs: int) -> float:
    """Return the least seconds that a compressed pair of 12 megapixels takes."""
    pair = draw_pair(1)
    first = compress(pair.first.resize(TWELVE_MEGAPIXELS), 92)
    second = compress(pair.second.resize(TWELVE_MEGAPIXELS), 85)
    least = float("inf")
    for _ in range(runs):
        began = time.perf_counter()
        compare_pictures(first, second)
        least = min(least, time.perf_counter() - began)
    return least


def print_row(name: str, counts: list[tuple[int, int, int, int]]) -> None:
    """Print a program's precision and recall, from right, found, boxes and changes of each pair."""
    right, found, boxes, changes = (sum(column) for column in zip(*counts, strict=True))
    print(
        f"| {name} | {right / max(1, boxes):.3f} | {found / max(1, changes):.3f} | {len(counts)} |"
    )


def main() -> None:
    """Measure and print."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparison", description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--others", type=int, default=200, help="pairs for the other programs")
    parser.add_argument("--runs", type=int, default=5, help="of the pair of 12 megapixels")
    parser.add_argument("--verbose", action="store_true", help="print pairs with a wrong box")
    options = parser.parse_args()
    counts: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    ways = {"phi3v": box_by_phi3v, **find_others()}
    for number in range(options.pairs):
        pair = draw_pair(number)
        for name, box in ways.items():
            if name != "phi3v" and number >= options.others:
                continue
            boxes = box(pair)
            right, found, total = judge(boxes, pair.boxes)
            counts[name].append((right, found, total, len(pair.boxes)))
            if pair.way in ("as it is", "compressed"):
                counts[f"{name}, as it is or compressed"].append(counts[name][-1])
            if name == "phi3v":
                counts[f"phi3v, {pair.way}"].append(counts[name][-1])
                if options.verbose and (right < total or found < len(pair.boxes)):
                    print(number, pair.way, "changes", pair.boxes, "boxes", boxes, flush=True)
    print(describe_machine(torch.device("cpu")), end="\n\n")
    print("| | precision | recall | pairs |\n|---|---|---|---|")
    for name in sorted(counts, key=lambda name: (not name.startswith("phi3v"), name)):
        print_row(name, counts[name])
    if options.runs:
        print(f"\n12 megapixels: {time_large(options.runs):.2f} s, the least of {options.runs}")


if __name__ == "__main__":
    main()
