"""The canvases that images are compared on: their sizes, images on them, and places.

Knows images, sizes and matrices only, and nothing of what differs.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phi3v.comparison.alignment import Aligned, Mask, Matrix, count_from_corners, scale_of
from phi3v.comparison.changes import Box
from phi3v.comparison.orientation import SIDEWAYS, Turn, turn_matrix

# The canvas's longer side: details below a thousandth of it are compression noise.
CANVAS_SIDE: Final = 1024
MIN_SIDE: Final = 16  # structural similarity needs windows of 7 x 7
# Aspect ratios that differ by more are of images that were cropped, not only scaled.
SAME_RATIO: Final = 0.02
# An image is a part of the other if so much of it lies on that, and that is larger than it.
PART: Final = 0.9


def choose_canvas(image: Image.Image) -> tuple[int, int]:
    """Return the canvas size (width, height): the image's, limited to CANVAS_SIDE."""
    return scale_size(image.size, min(1.0, CANVAS_SIDE / max(image.size)))


def scale_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return a scaled size, at least MIN_SIDE and at most twice CANVAS_SIDE on each side."""
    width, height = (min(2 * CANVAS_SIDE, max(MIN_SIDE, round(side * scale))) for side in size)
    return width, height


def is_same_ratio(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """True if two sizes have the same aspect ratio, up to rounding to whole pixels."""
    ratio = (first[0] * second[1]) / (first[1] * second[0])
    rounding = 1 / min(*first, *second)
    return abs(math.log(ratio)) <= max(SAME_RATIO, rounding)


def fit_to_size(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return an image scaled to a size, whatever its aspect ratio."""
    return image.resize(size, Image.Resampling.LANCZOS) if image.size != size else image


def pad_to_size(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return an image scaled into a size, centred on white."""
    scale = min(size[0] / image.width, size[1] / image.height)
    width, height = (max(1, round(side * scale)) for side in image.size)
    padded = Image.new("RGB", size, "white")
    at = (size[0] - width) // 2, (size[1] - height) // 2
    padded.paste(image.resize((width, height), Image.Resampling.LANCZOS), at)
    return padded


def limit_resolution(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return an image with the detail it would have at a smaller `size`; its own size stays."""
    if size[0] >= image.width or size[1] >= image.height:
        return image
    return image.resize(size, Image.Resampling.LANCZOS).resize(image.size, Image.Resampling.LANCZOS)


def to_image(pixels: NDArray[np.floating]) -> Image.Image:
    """Return an array from 0 to 1, (H, W) or (H, W, 3), as an image."""
    return Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))


def is_part(aligned: Aligned, inside: Mask) -> bool:
    """True if the second image lies on the first, nearly all of it, and the first is larger."""
    assert aligned.matrix is not None, "only a moved image is a part"
    area = aligned.size[0] * aligned.size[1] / scale_of(aligned.matrix) ** 2
    border = 8 * (aligned.size[0] + aligned.size[1])  # the margin of the mask
    return bool(inside.sum() + border >= PART * area) and area < PART * inside.size


def lead_to_second(
    aligned: Aligned,
    size: tuple[int, int],
    canvas: tuple[int, int],
    turn: Turn,
) -> Matrix:
    """Return the matrix from the first image's canvas to the second's, counted from corners."""
    back = turn_matrix(canvas, turn)
    upright = canvas[::-1] if turn in SIDEWAYS else canvas
    if aligned.matrix is None:
        matrix = np.diag([upright[0] / size[0], upright[1] / size[1], 1])
    else:
        matrix = np.diag(
            [upright[0] / aligned.size[0], upright[1] / aligned.size[1], 1]
        ) @ count_from_corners(aligned.matrix)
    return np.linalg.inv(back) @ matrix


def move_box(box: Box, matrix: Matrix, size: tuple[int, int]) -> Box | None:
    """Return the box around a box's corners under a matrix; None outside of the canvas."""
    left, top, right, bottom = box
    corners = np.array([[left, right, left, right], [top, top, bottom, bottom], [1, 1, 1, 1]])
    x, y, _ = matrix @ corners
    moved = (
        max(0, math.floor(x.min() + 0.01)),
        max(0, math.floor(y.min() + 0.01)),
        min(size[0], math.ceil(x.max() - 0.01)),
        min(size[1], math.ceil(y.max() - 0.01)),
    )
    return moved if moved[0] < moved[2] and moved[1] < moved[3] else None
