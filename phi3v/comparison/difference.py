"""Where two pictures differ, found in their pixels: brought to one size, aligned, boxed, numbered.

Says what a network cannot be trusted to see: that two pictures are the same to the last pixel, or
that one small thing is gone. Knows pixels only. scikit-image takes half a second to import, so it
is imported where it is used. Legend: H, W height and width of the canvas on which both lie.
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

# The longer side of the canvas: what is smaller than a thousandth of it is noise of compression.
CANVAS_SIDE: Final = 1024
LEAST_SIDE: Final = 16  # the similarity is measured in windows of 7 x 7
# Sides whose ratio differs by more are of pictures that were cropped, not only scaled.
SAME_RATIO: Final = 0.02
# A place is changed where structure differs (similarity, 1 is equal) and so do colours (0 to 1).
# JPEG at quality 60 stays above the first or below the second, measured on text and flat colours.
CHANGED_SIMILARITY: Final = 0.7
CHANGED_COLOUR: Final = 0.06
# Two pictures are different where most of the area, or nearly all that is drawn, is (shares), and
# the edges there have too little in common (correlation; 0.65 for two texts of one layout).
DIFFERENT_AREA: Final = 0.6
DIFFERENT_CONTENT: Final = 0.9
SAME_EDGES: Final = 0.8
MAX_REGIONS: Final = 40
BOX_COLOUR: Final = (220, 30, 60)


@dataclass(frozen=True)
class Region:
    """A changed place: its number, from 1 in reading order, and its box in `Difference.first`."""

    number: int
    box: Box  # left, top, right, bottom


@dataclass(frozen=True)
class Difference:
    """Two pictures side by side and what differs.

    first and second have one size, and second is moved onto first where they are nearly the same.
    heat is a grey picture of that size, brighter where they differ more. similarity is the mean
    structural similarity of the three colours, 1 for equal pictures. moved says that second had to
    be shifted, turned or cut to lie on first.
    """

    verdict: Verdict
    similarity: float
    regions: tuple[Region, ...]
    first: Image.Image
    second: Image.Image
    heat: Image.Image
    moved: bool = False


def compare_pictures(first: Image.Image, second: Image.Image) -> Difference:
    """Compare two RGB pictures of any sizes; takes about a second.

    "identical" pictures have the same pixels, "re-encoded" ones only the traces of another size or
    compression, "nearly the same" ones changed regions or another position, "different" ones
    too little in common to name regions.
    """
    size = choose_canvas(first)
    canvas = first.resize(size, Image.Resampling.LANCZOS) if size != first.size else first
    if first.size == second.size and np.array_equal(np.asarray(first), np.asarray(second)):
        return Difference("identical", 1.0, (), canvas, canvas, Image.new("L", size))
    fitted = fit(second, size)
    same_ratio = is_same_ratio(first.size, second.size)
    pixels = to_pixels(soften(canvas, second.size) if same_ratio else canvas)
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
    """A copy of a picture with each region's box and number."""
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
    """The first picture faded to grey, what differs on it in colour, regions boxed, numbered."""
    grey = difference.first.convert("L").point(lambda value: 160 + value * 3 // 8)
    # from the least that counts as changed, so that faint places are seen too
    strength = difference.heat.point(lambda value: min(255, value * 3))
    marked = Image.composite(Image.new("RGB", grey.size, BOX_COLOUR), grey.convert("RGB"), strength)
    return draw_regions(marked, difference.regions)


def choose_canvas(image: Image.Image) -> tuple[int, int]:
    """The size (width, height) at which two pictures are compared: the first's, within bounds."""
    scale = min(1.0, CANVAS_SIDE / max(image.size))
    width, height = (max(LEAST_SIDE, round(side * scale)) for side in image.size)
    return width, height


def is_same_ratio(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether two sizes have the same shape, but for rounding to whole pixels."""
    ratio = (first[0] * second[1]) / (first[1] * second[0])
    rounding = 1 / min(*first, *second)
    return abs(math.log(ratio)) <= max(SAME_RATIO, rounding)


def fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Bring a picture to a size: scaled where the shape is the same, else centred on white."""
    if is_same_ratio(image.size, size):
        return image.resize(size, Image.Resampling.LANCZOS) if image.size != size else image
    return ImageOps.pad(image, size, Image.Resampling.LANCZOS, color="white")


def soften(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Take the detail off a picture that one of this size cannot have; its own size stays."""
    if size[0] >= image.width or size[1] >= image.height:
        return image
    return image.resize(size, Image.Resampling.LANCZOS).resize(image.size, Image.Resampling.LANCZOS)


def to_pixels(image: Image.Image) -> Pixels:
    """A picture as numbers from 0 to 1, (H, W, 3)."""
    return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)


def to_image(pixels: NDArray[np.floating]) -> Image.Image:
    """Numbers from 0 to 1, (H, W) or (H, W, 3), as a picture."""
    return Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))


def colour_distance(first: Pixels, second: Pixels) -> NDArray[np.float32]:
    """How far colours are apart at each place (H, W), 0 to 1: brightness finely, hue coarsely.

    Compression halves the resolution of hue, so thin coloured lines change theirs.
    """
    from skimage.color import rgb2ycbcr
    from skimage.filters import gaussian

    apart = (rgb2ycbcr(first) - rgb2ycbcr(second)) / 255  # (H, W, 3)
    brightness = np.abs(gaussian(apart[..., 0], 1.5))
    hue = np.abs(gaussian(apart[..., 1:], 4, channel_axis=2)).max(axis=2)
    return np.maximum(brightness, hue).astype(np.float32)


def find_changes(first: Pixels, second: Pixels, inside: Mask) -> tuple[Mask, NDArray[np.float32]]:
    """Where the pictures differ (H, W), and how much, 0 to 1, (H, W)."""
    similar, distance = similarity_map(first, second), colour_distance(first, second)
    changed = (similar < CHANGED_SIMILARITY) & (distance > CHANGED_COLOUR) & inside
    # inside a flat area that changed its colour a little there is structure only at its edge
    changed |= (distance > 2.5 * CHANGED_COLOUR) & inside
    heat = np.where(inside, np.maximum((1 - similar) / 2 * (distance > 0.02), distance), 0)
    return changed, heat.astype(np.float32)


def box_regions(changed: Mask) -> tuple[Region, ...]:
    """Boxes around what changed, places close to each other in one, in reading order.

    At most MAX_REGIONS, the largest.
    """
    from skimage.measure import label, regionprops

    height, width = changed.shape
    boxes = []
    least = max(6, height * width / 50_000)
    for found in regionprops(label(join(changed))):
        top, left, bottom, right = found.bbox
        part = changed[top:bottom, left:right] & found.image
        if part.sum() >= least:
            boxes.append((int(part.sum()), (int(left), int(top), int(right), int(bottom))))
    largest = sorted(boxes, reverse=True)[:MAX_REGIONS]
    row = max(1, height // 20)  # boxes that begin about as high stand in one line
    ordered = sorted((box for _, box in largest), key=lambda box: (box[1] // row, box[0]))
    return tuple(Region(number, box) for number, box in enumerate(ordered, 1))


def is_different(first: Pixels, second: Pixels, changed: Mask, inside: Mask) -> bool:
    """Whether two pictures have too little in common to be two states of one.

    Most of the area differs, or nearly all that is drawn, and there the edges lie elsewhere: a
    circle that became blue is the same picture, a triangle in its place is another.
    """
    from skimage.color import rgb2gray
    from skimage.filters import gaussian, sobel

    edges = [gaussian(sobel(rgb2gray(pixels)), 1) for pixels in (first, second)]
    drawn = (np.maximum(*edges) > 0.02) & inside
    around = join(changed) & inside
    area, content = around.sum() / inside.sum(), (around & drawn).sum() / max(1, drawn.sum())
    if area < DIFFERENT_AREA and content < DIFFERENT_CONTENT:
        return False
    there = [edge[around] for edge in edges]
    if not all(edge.std() > 0 for edge in there):
        return True
    return bool(np.corrcoef(*there)[0, 1] < SAME_EDGES)


def join(changed: Mask) -> Mask:
    """Let changed places reach out, so that those close to each other touch."""
    from skimage.morphology import dilation, footprint_rectangle

    reach = max(5, round(max(changed.shape) / 60)) | 1
    return np.asarray(dilation(changed, footprint_rectangle((reach, reach))), bool)
