"""Finds what changed between two aligned images: a mask, a map of strength, boxes.

Knows pixel arrays only. Legend: H, W height and width of the canvas that both images have.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops
from scipy import ndimage

from phi3v.comparison.alignment import Grey, Mask, Pixels, similarity_map, to_grey

Box = tuple[int, int, int, int]

# A pixel is changed if its structural similarity (1 is equal) is below the first and its colour
# distance (0 to 1) above the second. JPEG at quality 60 stays above the first or below the second,
# measured on text and flat colours.
CHANGED_SIMILARITY: Final = 0.7
CHANGED_COLOUR: Final = 0.06
# Two images are "different" if this share of the area, or of all content, changed, and the edges in
# it correlate by less than SAME_EDGES (two texts of one layout have 0.65).
DIFFERENT_AREA: Final = 0.6
DIFFERENT_CONTENT: Final = 0.9
ADDED_CONTENT: Final = 0.5
LEAST_CONTENT: Final = 0.0005  # of the area; less is an empty sheet
SAME_EDGES: Final = 0.8
CONTENT_EDGE: Final = 0.02
MAX_REGIONS: Final = 40

# Grain in flat areas from which an image is a noisy copy, 0 to 1: JPEG's stays below a level of 1.
NOISE: Final = 1.4 / 255
# The blurs of colour_distance leave this part of noise: 1 / (2 * sqrt(pi) * 1.5).
NOISE_LEFT: Final = 0.19
NOISE_PEAKS: Final = 6.0  # standard deviations that none of a million pixels reaches by chance
# Images are compared pixel by pixel if this share of what they show is equal in every pixel.
EXACT_SHARE: Final = 0.5
EXACT_LEVELS: Final = 3  # of 255
CELL: Final = 16  # pixels of the canvas


@dataclass(frozen=True)
class Changes:
    """What changed: mask (H, W), strength (H, W) from 0 to 1, and the noise between the images."""

    mask: Mask
    heat: Grey
    noise: float = 0.0
    is_exact: bool = False


def find_exact_changes(
    first: Image.Image, second: Image.Image, size: tuple[int, int]
) -> Changes | None:
    """Compare two images of one size pixel by pixel; None if they were saved with loss.

    The mask has the canvas's size (W, H): one of its pixels is changed if any is that it shows.
    """
    bands = ImageChops.difference(first, second).split()
    distance = bands[0]
    for band in bands[1:]:
        distance = ImageChops.lighter(distance, band)
    pooled = pool(np.asarray(distance), size)
    grey = np.asarray(first.convert("L").resize(size, Image.Resampling.BOX), np.float32)
    grey /= np.float32(255)
    cells = cell_maxima(pooled)
    shown = cell_maxima(edges_of(grey)) > CONTENT_EDGE
    share = float((cells[shown] == 0).mean()) if shown.any() else float((cells == 0).mean())
    if share < EXACT_SHARE:
        return None
    mask = pooled >= EXACT_LEVELS
    return Changes(mask, pooled.astype(np.float32) / np.float32(255), is_exact=True)


def pool(values: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the maxima of an array (h, w) in a grid of size (W, H), not larger than it."""
    width, height = size
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    return np.maximum.reduceat(np.maximum.reduceat(values, rows, axis=0), columns, axis=1)


def cell_maxima(values: NDArray[Any]) -> NDArray[Any]:
    """Return the maxima of an array in cells of CELL x CELL."""
    rows, columns = (np.arange(0, side, CELL) for side in values.shape)
    return np.maximum.reduceat(np.maximum.reduceat(values, rows, axis=0), columns, axis=1)


def edges_of(grey: Grey) -> Grey:
    """Return the strength of edges at each pixel, (H, W)."""
    sloped = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1)) / np.float32(4 * 2**0.5)
    return np.asarray(ndimage.gaussian_filter(sloped, 1), np.float32)


def find_changes(first: Pixels, second: Pixels, inside: Mask) -> Changes:
    """Return what changed between two images that were saved with loss, scaled or warped."""
    grey = to_grey(first), to_grey(second)
    noise = measure_noise(*grey, inside)
    least = max(CHANGED_COLOUR, NOISE_PEAKS * NOISE_LEFT * noise if noise > NOISE else 0.0)
    similar, distance = similarity_map(*grey), colour_distance(first, second)
    mask = (similar < CHANGED_SIMILARITY) & (distance > least) & inside
    # similarity sees only the edge of a flat area whose colour changed a little
    mask |= (distance > 2.5 * least) & inside
    heat = np.where(inside, np.maximum((1 - similar) / 2 * (distance > 0.02), distance), 0)
    return Changes(mask, heat.astype(np.float32), noise if noise > NOISE else 0.0)


def measure_noise(first: Grey, second: Grey, inside: Mask) -> float:
    """Return the deviation of the grain between two images, 0 to 1, where the first is flat."""
    difference = second - first
    grain = np.abs(difference - ndimage.uniform_filter(difference, 3))
    slope = edges_of(first)
    flat = inside & (slope <= np.quantile(slope, 0.3))
    return 1.4826 * float(np.median(grain[flat])) if flat.any() else 0.0


def colour_distance(first: Pixels, second: Pixels) -> Grey:
    """Return the colour distance at each pixel, (H, W), 0 to 1: chroma is blurred more than luma.

    Compression halves the resolution of chroma, which changes the hue of thin coloured lines.
    """
    difference = first - second
    luma = to_grey(difference)
    distance = np.abs(ndimage.gaussian_filter(luma * np.float32(219 / 255), 1.5))
    for channel, scale in ((2, 0.564), (0, 0.713)):  # blue and red less luma, as in BT.601
        chroma = (difference[..., channel] - luma) * np.float32(scale * 224 / 255)
        distance = np.maximum(distance, np.abs(ndimage.gaussian_filter(chroma, 4)))
    return distance


def is_different(first: Pixels, second: Pixels, changed: Mask, inside: Mask) -> bool:
    """True if two images have too little in common to be two versions of one.

    Then most of the area, or nearly all content of the image that has less, changed, and the edges
    there do not match: a circle that became blue is the same image, a triangle in its position is
    another; a stamp on an empty sheet only adds something.
    """
    edges = [edges_of(to_grey(pixels)) for pixels in (first, second)]
    region = merge_nearby(changed) & inside
    area = region.sum() / max(1, inside.sum())
    shares = []
    for edge in edges:
        shown = (edge > CONTENT_EDGE) & inside
        if shown.sum() > LEAST_CONTENT * shown.size:
            shares.append(float((region & shown).sum() / shown.sum()))
    both = (np.maximum(*edges) > CONTENT_EDGE) & inside
    content = float((region & both).sum() / max(1, both.sum()))
    if len(shares) < 2 or min(shares) < ADDED_CONTENT:
        content = 0.0  # one has all that the other has, and more
    if area < DIFFERENT_AREA and content < DIFFERENT_CONTENT:
        return False
    region_edges = [edge[region].astype(np.float64) for edge in edges]
    if not all(edge.std() > 0 for edge in region_edges):
        return True
    return bool(np.corrcoef(region_edges[0], region_edges[1])[0, 1] < SAME_EDGES)


def box_changes(changes: Changes) -> list[Box]:
    """Return boxes around changed pixels, nearby ones merged, in reading order.

    Of more than MAX_REGIONS the largest are kept.
    """
    changed = changes.mask
    height, width = changed.shape
    least = 1 if changes.is_exact else max(6, height * width / 50_000)
    labels, _ = ndimage.label(merge_nearby(changed), np.ones((3, 3)))
    boxes = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        part = changed[place] & (labels[place] == number)
        count = int(part.sum())
        if count < least:
            continue
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        top, left = place[0].start, place[1].start
        margin = 2
        box = (
            max(0, left + int(columns[0]) - margin),
            max(0, top + int(rows[0]) - margin),
            min(width, left + int(columns[-1]) + 1 + margin),
            min(height, top + int(rows[-1]) + 1 + margin),
        )
        boxes.append((count, box))
    largest = [box for _, box in sorted(boxes, reverse=True)[:MAX_REGIONS]]
    return sort_boxes(largest, height)


def sort_boxes(boxes: list[Box], height: int) -> list[Box]:
    """Return boxes in reading order; those with about the same top are in one row."""
    row = max(1, height // 20)
    return sorted(boxes, key=lambda box: (box[1] // row, box[0]))


def merge_nearby(changed: Mask) -> Mask:
    """Return the mask dilated, so that changes close to each other become one region."""
    reach = max(5, round(max(changed.shape) / 60)) | 1
    return ndimage.maximum_filter(changed, size=reach)
