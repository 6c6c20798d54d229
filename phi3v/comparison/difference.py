"""Compares two images by their pixels: resized to one canvas, aligned, changes boxed and numbered.

Complements the model, which is unreliable at seeing that two images are equal to the last pixel, or
that one small object is missing. Knows images only; must not know the model, files or the page.
scikit-image takes half a second to import, so it is imported where it is used. Legend: H, W height
and width of the canvas that both images have.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from phi3v.comparison.alignment import Mask, Pixels, align, colour_similarity, similarity_map

Verdict = Literal["identical", "re-encoded", "nearly the same", "different"]
Box = tuple[int, int, int, int]

# The canvas's longer side: details below a thousandth of it are compression noise.
CANVAS_SIDE: Final = 1024
MIN_SIDE: Final = 16  # structural similarity needs windows of 7 x 7
# Aspect ratios that differ by more are of images that were cropped, not only scaled.
SAME_RATIO: Final = 0.02
# A pixel is changed if its structural similarity (1 is equal) is below the first and its colour
# distance (0 to 1) above the second. JPEG at quality 60 stays above the first or below the second,
# measured on text and flat colours.
CHANGED_SIMILARITY: Final = 0.7
CHANGED_COLOUR: Final = 0.06
# Two images are "different" if this share of the area, or of all content, changed, and the edges in
# it correlate by less than SAME_EDGES (two texts of one layout have 0.65).
DIFFERENT_AREA: Final = 0.6
DIFFERENT_CONTENT: Final = 0.9
SAME_EDGES: Final = 0.8
MAX_REGIONS: Final = 40
BOX_COLOUR: Final = (220, 30, 60)


@dataclass(frozen=True)
class Region:
    """A changed region: its number, from 1 in reading order, and its box in `Difference.first`."""

    number: int
    box: Box  # left, top, right, bottom


@dataclass(frozen=True)
class Difference:
    """The result of a comparison: verdict, changed regions and both images on one canvas.

    first and second have one size, and second is aligned with first if they are nearly the same.
    heat is a greyscale image of that size, brighter where they differ more. similarity is the mean
    structural similarity of the RGB channels, 1 for equal images. moved is True if second had to be
    shifted, rotated or scaled to match first.
    """

    verdict: Verdict
    similarity: float
    regions: tuple[Region, ...]
    first: Image.Image
    second: Image.Image
    heat: Image.Image
    moved: bool = False


def compare_pictures(first: Image.Image, second: Image.Image) -> Difference:
    """Compare two RGB images of any sizes; takes about a second.

    "identical" images have equal pixels, "re-encoded" ones differ only by scaling or compression,
    "nearly the same" ones by changed regions or alignment; "different" ones have too little in
    common to list regions.
    """
    size = choose_canvas(first)
    canvas = first.resize(size, Image.Resampling.LANCZOS) if size != first.size else first
    if first.size == second.size and np.array_equal(np.asarray(first), np.asarray(second)):
        return Difference("identical", 1.0, (), canvas, canvas, Image.new("L", size))
    fitted = fit_to_canvas(second, size)
    same_ratio = is_same_ratio(first.size, second.size)
    pixels = to_pixels(limit_resolution(canvas, second.size) if same_ratio else canvas)
    aligned, inside, moved = align(pixels, to_pixels(fitted), same_ratio)
    similarity = colour_similarity(pixels, aligned, inside)
    changed, heat = find_changes(pixels, aligned, inside)
    verdict: Verdict = "nearly the same"
    regions = box_regions(changed)
    if is_different(pixels, aligned, changed, inside):
        verdict, regions, moved = "different", (), False
        aligned = to_pixels(fitted)
    elif not regions and not moved:
        verdict = "re-encoded"
    return Difference(
        verdict, similarity, regions, canvas, to_image(aligned), to_image(heat), moved
    )


def draw_regions(image: Image.Image, regions: tuple[Region, ...]) -> Image.Image:
    """Return a copy of an image with each region's box and number drawn on it."""
    drawn = image.convert("RGB").copy()
    draw = ImageDraw.Draw(drawn)
    width = max(2, round(max(image.size) / 350))
    font = ImageFont.load_default(size=max(12, max(image.size) / 45))
    for region in regions:
        left, top, right, bottom = region.box
        draw.rectangle((left, top, right - 1, bottom - 1), outline=BOX_COLOUR, width=width)
        text = str(region.number)
        box = draw.textbbox((0, 0), text, font=font)
        height, wide = box[3] + 4, box[2] + 6
        at = (left, top - height if top >= height else top)
        draw.rectangle((*at, at[0] + wide, at[1] + height), fill=BOX_COLOUR)
        draw.text((at[0] + 3, at[1] + 1), text, fill="white", font=font)
    return drawn


def draw_map(difference: Difference) -> Image.Image:
    """Return the first image in faded grey, with changes in colour and regions boxed, numbered."""
    grey = difference.first.convert("L").point(lambda value: 160 + value * 3 // 8)
    # amplified, so that faint changes are visible too
    strength = difference.heat.point(lambda value: min(255, value * 3))
    marked = Image.composite(Image.new("RGB", grey.size, BOX_COLOUR), grey.convert("RGB"), strength)
    return draw_regions(marked, difference.regions)


def choose_canvas(image: Image.Image) -> tuple[int, int]:
    """Return the canvas size (width, height): the first image's, limited to CANVAS_SIDE."""
    scale = min(1.0, CANVAS_SIDE / max(image.size))
    width, height = (max(MIN_SIDE, round(side * scale)) for side in image.size)
    return width, height


def is_same_ratio(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """True if two sizes have the same aspect ratio, up to rounding to whole pixels."""
    ratio = (first[0] * second[1]) / (first[1] * second[0])
    rounding = 1 / min(*first, *second)
    return abs(math.log(ratio)) <= max(SAME_RATIO, rounding)


def fit_to_canvas(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return an image at a size: scaled, and centred on white if its aspect ratio differs."""
    if is_same_ratio(image.size, size):
        return image.resize(size, Image.Resampling.LANCZOS) if image.size != size else image
    return ImageOps.pad(image, size, Image.Resampling.LANCZOS, color="white")


def limit_resolution(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return an image with the detail it would have at a smaller `size`; its own size stays."""
    if size[0] >= image.width or size[1] >= image.height:
        return image
    return image.resize(size, Image.Resampling.LANCZOS).resize(image.size, Image.Resampling.LANCZOS)


def to_pixels(image: Image.Image) -> Pixels:
    """Return an image as an array (H, W, 3) from 0 to 1."""
    return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)


def to_image(pixels: NDArray[np.floating]) -> Image.Image:
    """Return an array from 0 to 1, (H, W) or (H, W, 3), as an image."""
    return Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))


def colour_distance(first: Pixels, second: Pixels) -> NDArray[np.float32]:
    """Return the colour distance at each pixel, (H, W), 0 to 1: chroma is blurred more than luma.

    Compression halves the resolution of chroma, which changes the hue of thin coloured lines.
    """
    from skimage.color import rgb2ycbcr
    from skimage.filters import gaussian

    distance = (rgb2ycbcr(first) - rgb2ycbcr(second)) / 255  # (H, W, 3)
    luma = np.abs(gaussian(distance[..., 0], 1.5))
    chroma = np.abs(gaussian(distance[..., 1:], 4, channel_axis=2)).max(axis=2)
    return np.maximum(luma, chroma).astype(np.float32)


def find_changes(first: Pixels, second: Pixels, inside: Mask) -> tuple[Mask, NDArray[np.float32]]:
    """Return the mask of changed pixels, (H, W), and the heat map, (H, W), 0 to 1."""
    similar, distance = similarity_map(first, second), colour_distance(first, second)
    changed = (similar < CHANGED_SIMILARITY) & (distance > CHANGED_COLOUR) & inside
    # similarity sees only the edge of a flat area whose colour changed a little
    changed |= (distance > 2.5 * CHANGED_COLOUR) & inside
    heat = np.where(inside, np.maximum((1 - similar) / 2 * (distance > 0.02), distance), 0)
    return changed, heat.astype(np.float32)


def box_regions(changed: Mask) -> tuple[Region, ...]:
    """Return boxes around changed pixels, nearby ones merged, in reading order.

    Of more than MAX_REGIONS the largest are kept.
    """
    from skimage.measure import label, regionprops

    height, width = changed.shape
    boxes = []
    min_area = max(6, height * width / 50_000)
    for found in regionprops(label(merge_nearby(changed))):
        top, left, bottom, right = found.bbox
        part = changed[top:bottom, left:right] & found.image
        if part.sum() >= min_area:
            boxes.append((int(part.sum()), (int(left), int(top), int(right), int(bottom))))
    largest = sorted(boxes, reverse=True)[:MAX_REGIONS]
    row = max(1, height // 20)  # boxes with about the same top are in one row
    ordered = sorted((box for _, box in largest), key=lambda box: (box[1] // row, box[0]))
    return tuple(Region(number, box) for number, box in enumerate(ordered, 1))


def is_different(first: Pixels, second: Pixels, changed: Mask, inside: Mask) -> bool:
    """True if two images have too little in common to be two versions of one.

    Then most of the area, or nearly all content, changed, and the edges there do not match: a
    circle that became blue is the same image, a triangle in its position is another.
    """
    from skimage.color import rgb2gray
    from skimage.filters import gaussian, sobel

    edges = [gaussian(sobel(rgb2gray(pixels)), 1) for pixels in (first, second)]
    content_mask = (np.maximum(*edges) > 0.02) & inside
    region = merge_nearby(changed) & inside
    area = region.sum() / inside.sum()
    content = (region & content_mask).sum() / max(1, content_mask.sum())
    if area < DIFFERENT_AREA and content < DIFFERENT_CONTENT:
        return False
    region_edges = [edge[region] for edge in edges]
    if not all(edge.std() > 0 for edge in region_edges):
        return True
    return bool(np.corrcoef(*region_edges)[0, 1] < SAME_EDGES)


def merge_nearby(changed: Mask) -> Mask:
    """Return the mask dilated, so that changes close to each other become one region."""
    from skimage.morphology import dilation, footprint_rectangle

    reach = max(5, round(max(changed.shape) / 60)) | 1
    return np.asarray(dilation(changed, footprint_rectangle((reach, reach))), bool)
