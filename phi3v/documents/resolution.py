"""The resolution at which pages of PDFs are rendered, and which frames of a video are taken."""

from collections.abc import Sequence
from typing import Final

# A4 at 200 dots per inch is 1654 x 2339 pixels, well above the 1344 x 1680 at most that the model
# sees of it in 16 crops, so that small print is scaled down and never up.
DOTS_PER_INCH: Final = 200
# Least and most pixels of a page's longer side, whatever its size in inches. The model sees at most
# 16 crops of 336 pixels along a side; rendering fewer than four of them is not worth it.
LONGER_SIDE_LIMITS: Final = (4 * 336, 16 * 336)
MAX_PAGE_PIXELS: Final = 16_000_000
POINTS_PER_INCH: Final = 72
# Of a video or an animation, if nothing else is asked: each takes at least 300 tokens of a prompt.
DEFAULT_FRAMES: Final = 8


def choose_scale(width: float, height: float) -> float:
    """Return the pixels per point for a page of this size in points, within the limits above."""
    longer = max(width, height, 1e-3)
    shortest, longest = LONGER_SIDE_LIMITS
    scale = min(max(DOTS_PER_INCH / POINTS_PER_INCH, shortest / longer), longest / longer)
    return float(min(scale, (MAX_PAGE_PIXELS / max(width * height, 1e-6)) ** 0.5))


def spread_evenly(count: int, most: int) -> Sequence[int]:
    """Return up to `most` of `count` indices, each from the middle of its share of them."""
    if count <= most:
        return range(count)
    return [(2 * i + 1) * count // (2 * most) for i in range(most)]


def write_time(seconds: float) -> str:
    """Return a time as minutes, seconds and tenths, like 1:02.5, with hours where it has them."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{clock}:{tenths // 10:02}.{tenths % 10}"
