"""Finds by how many quarters an image was turned, or whether it was mirrored.

Knows images only. Both are compared as small squares without their slow changes of brightness.
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Turn = Literal[
    "none", "quarter left", "quarter right", "half", "mirrored", "flipped", "transposed",
    "transversed",
]  # fmt: skip

# What is done to the second image so that it lies as the first does.
OPERATIONS: Final[dict[Turn, Image.Transpose]] = {
    "quarter left": Image.Transpose.ROTATE_270,
    "quarter right": Image.Transpose.ROTATE_90,
    "half": Image.Transpose.ROTATE_180,
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "flipped": Image.Transpose.FLIP_TOP_BOTTOM,
    "transposed": Image.Transpose.TRANSPOSE,
    "transversed": Image.Transpose.TRANSVERSE,
}
INVERSE: Final[dict[Turn, Turn]] = {
    "quarter left": "quarter right",
    "quarter right": "quarter left",
}
SIDEWAYS: Final[frozenset[Turn]] = frozenset(
    {"quarter left", "quarter right", "transposed", "transversed"}
)
SIDE: Final = 128
# A turned image with changes correlates so well, and clearly better than unturned.
LEAST_CORRELATION: Final = 0.75
LEAST_GAIN: Final = 0.25


def undo(turn: Turn) -> Turn:
    """Return the turn that brings a turned image back."""
    return INVERSE.get(turn, turn)


def turn_back(image: Image.Image, turn: Turn) -> Image.Image:
    """Return an image that was turned as it lay before."""
    return image if turn == "none" else image.transpose(OPERATIONS[turn])


def turn_matrix(size: tuple[int, int], turn: Turn) -> NDArray[np.float64]:
    """Return the 3 x 3 matrix from places in an image of a size to places in `turn_back` of it."""
    width, height = size
    x, y = [1, 0, 0], [0, 1, 0]
    left, up = [-1, 0, width], [0, -1, height]
    rows = {
        "none": (x, y),
        "quarter left": (up, x),
        "quarter right": (y, left),
        "half": (left, up),
        "mirrored": (left, y),
        "flipped": (x, up),
        "transposed": (y, x),
        "transversed": (up, left),
    }[turn]
    return np.array([*rows, [0, 0, 1]], np.float64)


def find_turn(first: Image.Image, second: Image.Image, most_ratio: float) -> Turn:
    """Return how the second image was turned or mirrored beside the first; "none" if it was not.

    Turns that would change the aspect ratio by a factor of more than 1 + most_ratio are not tried.
    """
    reference = flatten(first)
    small = second.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    upright = correlate(reference, flatten(second))
    best: Turn = "none"
    score = max(LEAST_CORRELATION, upright + LEAST_GAIN)
    for turn, operation in OPERATIONS.items():
        size = second.size[::-1] if turn in SIDEWAYS else second.size
        ratio = (first.width * size[1]) / (first.height * size[0])
        if max(ratio, 1 / ratio) > 1 + most_ratio:
            continue
        found = correlate(reference, flatten(small.transpose(operation)))
        if found > score:
            best, score = turn, found
    return best


def flatten(image: Image.Image) -> NDArray[np.float32]:
    """Return an image as a small square (SIDE, SIDE) of zero mean and length 1, high-passed."""
    small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    slow = small.filter(ImageFilter.GaussianBlur(SIDE // 12))
    fine = small.filter(ImageFilter.GaussianBlur(0.7))
    values = np.asarray(fine, np.float32) - np.asarray(slow, np.float32)
    values -= values.mean()
    length = float(np.linalg.norm(values))
    return values / length if length > SIDE * 0.2 else values * 0


def correlate(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the correlation of two flattened images, 1 for equal ones, 0 without any content."""
    return float((first * second).sum())
