"""Finds whether one image is a brighter or darker copy of another, and undoes that.

Knows pixel arrays only. One curve for all channels must explain what differs: an object whose
colour changed needs another curve than what surrounds it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phi3v.comparison.alignment import Grey, Mask, Pixels

BINS: Final = 16
BLOCK: Final = 4  # pixels
SAMPLES: Final = 60_000
# A level counts if so many pixels have it; a curve needs some levels, or it is one object's colour.
LEAST_SHARE: Final = 0.001
LEAST_LEVELS: Final = 5
LEAST_SHIFT: Final = 0.03  # of brightness, 0 to 1: less is compression
EXPLAINED: Final = 0.05  # distance from the curve, 0 to 1
LEAST_EXPLAINED: Final = 0.8
LEAST_RISE: Final = 0.3  # a flatter curve would explain anything on a white page
MOST_LEFT: Final = 0.4  # of the distance, after the curve is applied


@dataclass(frozen=True)
class Tone:
    """A curve from levels to levels, 0 to 1, and by how much it brightens on average."""

    levels: NDArray[np.float32]
    values: NDArray[np.float32]
    shift: float
    explained: float

    def apply(self, pixels: Pixels) -> Pixels:
        """Return pixels with the curve applied."""
        return np.interp(pixels, self.levels, self.values).astype(np.float32)


def find_tone(first: Pixels, second: Pixels, inside: Mask) -> Tone | None:
    """Return the curve from the first image's brightness to the second's; None without one."""
    # averaged, because a curve would explain grain by drawing values to their mean
    there = inside[::BLOCK, ::BLOCK][: len(first) // BLOCK, : first.shape[1] // BLOCK]
    x, y = (average(pixels)[there] for pixels in (first, second))
    step = max(1, len(x) // SAMPLES)
    x, y = x[::step].ravel(), y[::step].ravel()
    levels, values, weights = [], [], []
    bins = np.minimum((x * BINS).astype(np.int32), BINS - 1)
    for index in range(BINS):
        there = bins == index
        count = int(there.sum())
        if count < max(30, LEAST_SHARE * len(x)):
            continue
        levels.append(float(x[there].mean()))
        values.append(float(np.median(y[there])))
        weights.append(count)
    if len(levels) < LEAST_LEVELS:
        return None
    curve = np.maximum.accumulate(np.array(values, np.float32))
    if np.abs(curve - values).max() > EXPLAINED:  # not rising
        return None
    if curve[-1] - curve[0] < LEAST_RISE * (levels[-1] - levels[0]):
        return None
    shifts = curve - np.array(levels, np.float32)
    moved = np.abs(y - x) > LEAST_SHIFT
    if np.abs(shifts).max() < LEAST_SHIFT or moved.sum() < LEAST_SHARE * len(x):
        return None
    fitted = np.interp(x, levels, curve)
    explained = float((np.abs(y - fitted)[moved] < EXPLAINED).mean())
    left = float(np.abs(y - fitted)[moved].mean() / np.abs(y - x)[moved].mean())
    if explained < LEAST_EXPLAINED or left > MOST_LEFT:
        return None
    shift = float((y - x)[moved].mean())
    return Tone(*extend(np.array(levels, np.float32), curve), shift, explained)


def average(pixels: Pixels) -> Pixels:
    """Return the means of blocks of BLOCK x BLOCK pixels."""
    height, width = len(pixels) // BLOCK, pixels.shape[1] // BLOCK
    whole = pixels[: height * BLOCK, : width * BLOCK]
    return whole.reshape(height, BLOCK, width, BLOCK, 3).mean(axis=(1, 3))


def extend(levels: Grey, values: Grey) -> tuple[Grey, Grey]:
    """Return a curve that goes on to black and white as steeply as it rises."""
    slope = (values[-1] - values[0]) / (levels[-1] - levels[0])
    black, white = values[0] - slope * levels[0], values[-1] + slope * (1 - levels[-1])
    ends = np.clip(np.array([black, white], np.float32), 0, 1)
    return (
        np.concatenate([[0], levels, [1]]).astype(np.float32),
        np.concatenate([ends[:1], values, ends[1:]]).astype(np.float32),
    )
