"""Compares two images by their pixels: turned, aligned, evened in brightness, changes boxed.

Complements the model, which is unreliable at seeing that two images are equal to the last pixel, or
that one small object is missing. Knows images only; must not know the model, files or the page.
Both are compared in the frame of the larger one, so that the order does not matter, and the result
is brought to the frame of the first. Legend: H, W height and width of a canvas.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from phi3v.comparison.alignment import (
    Aligned,
    Matrix,
    Pixels,
    align,
    mean_similarity,
    to_grey,
    to_pixels,
    warp,
)
from phi3v.comparison.canvas import (
    SAME_RATIO,
    choose_canvas,
    fit_to_size,
    is_part,
    is_same_ratio,
    lead_to_second,
    limit_resolution,
    move_box,
    pad_to_size,
    scale_size,
    to_image,
)
from phi3v.comparison.changes import (
    NOISE,
    Box,
    Changes,
    box_changes,
    find_changes,
    find_exact_changes,
    is_different,
    measure_noise,
    sort_boxes,
)
from phi3v.comparison.orientation import Turn, find_turn, turn_back, undo
from phi3v.comparison.tone import find_tone

Verdict = Literal[
    "identical", "re-encoded", "noisy", "brightness", "turned", "mirrored", "cropped",
    "nearly the same", "different",
]  # fmt: skip

# Images of other aspect ratios that are less similar, stretched onto each other, are different.
STRETCHED_SIMILARITY: Final = 0.5
# Blurred images that are more similar lie on each other.
SAME_SIMILARITY: Final = 0.9
BOX_COLOUR: Final = (220, 30, 60)


@dataclass(frozen=True)
class Region:
    """A changed region: its number, from 1 in reading order, and its box in `Difference.first`."""

    number: int
    box: Box  # left, top, right, bottom


@dataclass(frozen=True)
class Difference:
    """The result of a comparison: verdict, changed regions and both images on one canvas.

    first and second have one size, and second lies as first does unless they are different. heat is
    a greyscale image of that size, brighter where they differ more. similarity is the mean
    structural similarity of the RGB channels, 1 for equal images. moved is True if second had to be
    shifted, rotated or scaled to match first, cropped if one is a part of the other besides. turn
    says how second was turned or mirrored, brightening by how much it is brighter (0 to 1, negative
    if darker, 0 without one curve that explains it), noise how much grain is between them (0 to 1).
    """

    verdict: Verdict
    similarity: float
    regions: tuple[Region, ...]
    first: Image.Image
    second: Image.Image
    heat: Image.Image
    moved: bool = False
    cropped: bool = False
    turn: Turn = "none"
    brightening: float = 0.0
    noise: float = 0.0


def compare_pictures(first: Image.Image, second: Image.Image) -> Difference:
    """Compare two RGB images of any sizes; takes about a second.

    "identical" images have equal pixels, "re-encoded" ones differ only by scaling or compression,
    "noisy", "brightness", "turned", "mirrored" and "cropped" ones by that only, "nearly the same"
    ones by changed regions or alignment; "different" ones have too little in common to list
    regions. The verdict is the same in either order.
    """
    if first.size == second.size and first.tobytes() == second.tobytes():
        size = choose_canvas(first)
        canvas = fit_to_size(first, size)
        return Difference("identical", 1.0, (), canvas, canvas, Image.new("L", size))
    if order_of(first) < order_of(second):
        return see_from_second(compare_ordered(second, first), second, first)
    return compare_ordered(first, second)[0]


def order_of(image: Image.Image) -> tuple[int, int, bytes]:
    """Return what decides which of two images is the reference: the larger one is."""
    return image.width * image.height, image.width, image.tobytes()


def compare_ordered(first: Image.Image, second: Image.Image) -> tuple[Difference, Matrix]:
    """Compare two images in the frame of the first.

    The matrix, 3 x 3, leads from its canvas to the second's, as that was before it was turned back;
    both count from corners of pixels.
    """
    size = choose_canvas(first)
    canvas = fit_to_size(first, size)
    everywhere = np.ones(size[::-1], bool)
    pixels = to_pixels(canvas)
    exact = find_exact_changes(first, second, size) if first.size == second.size else None
    turn: Turn = "none" if exact is not None else find_turn(first, second, SAME_RATIO)
    upright = turn_back(second, turn)
    if turn != "none" and first.size == upright.size:
        exact = find_exact_changes(first, upright, size)
    if exact is not None:
        aligned = Aligned(to_pixels(fit_to_size(upright, size)), everywhere, None)
        difference = conclude(canvas, (pixels, aligned), exact, turn=turn)
        return difference, lead_to_second(aligned, size, choose_canvas(second), turn)
    same_ratio = is_same_ratio(first.size, upright.size)
    own = fit_to_size(upright, scale_size(upright.size, size[0] / first.width))
    limited = to_pixels(limit_resolution(canvas, upright.size)) if same_ratio else pixels
    scaled = fit_to_size(upright, size)
    aligned = Aligned(to_pixels(scaled), everywhere, None)
    evened, brightening = even_out(limited, aligned)
    if not is_plain_copy(evened, brightening):
        aligned = align(pixels, limited, own, scaled, same_ratio)
        if aligned.matrix is not None:
            evened, brightening = even_out(pixels, aligned)
    changes = None
    if aligned.matrix is not None and not brightening and size == first.size:
        changes = find_shifted_changes(first, upright, aligned)
    if changes is None:
        changes = find_changes(evened[0], evened[1].pixels, aligned.inside)
    difference = conclude(canvas, evened, changes, same_ratio, turn, brightening)
    if difference.verdict == "different":
        shown = pad_to_size(second, size)
        difference = replace(difference, second=shown)
    else:
        difference = replace(difference, second=to_image(aligned.pixels))
    return difference, lead_to_second(aligned, size, choose_canvas(second), turn)


def find_shifted_changes(
    first: Image.Image, second: Image.Image, aligned: Aligned
) -> Changes | None:
    """Compare two images pixel by pixel where a shift by whole pixels lays them on each other.

    None if the transform is something else, or they were saved with loss.
    """
    assert aligned.matrix is not None, "only a moved image is shifted"
    x, y = (round(float(shift)) for shift in aligned.matrix[:2, 2])
    if not np.array_equal(aligned.matrix, [[1, 0, x], [0, 1, y], [0, 0, 1]]):
        return None
    if aligned.size != second.size:
        return None
    left, top = max(0, -x), max(0, -y)
    right, bottom = min(first.width, second.width - x), min(first.height, second.height - y)
    part = second.crop((left + x, top + y, right + x, bottom + y))
    found = find_exact_changes(first.crop((left, top, right, bottom)), part, part.size)
    if found is None:
        return None
    around = (top, first.height - bottom), (left, first.width - right)
    return replace(found, mask=np.pad(found.mask, around), heat=np.pad(found.heat, around))


def is_plain_copy(evened: tuple[Pixels, Aligned], brightening: float) -> bool:
    """True if only brightness or grain seems to be between two images that lie on each other."""
    first, second = (to_grey(pixels) for pixels in (evened[0], evened[1].pixels))
    if not brightening and measure_noise(first, second, evened[1].inside) <= NOISE:
        return False
    first, second = (ndimage.gaussian_filter(grey, 1.5) for grey in (first, second))
    return mean_similarity(first, second, evened[1].inside) > SAME_SIMILARITY


def even_out(first: Pixels, aligned: Aligned) -> tuple[tuple[Pixels, Aligned], float]:
    """Return both images with one brightness, and by how much the second one was brighter."""
    second, inside = aligned.pixels, aligned.inside
    tone, reverse = find_tone(first, second, inside), find_tone(second, first, inside)
    if tone is not None and (reverse is None or tone.explained >= reverse.explained):
        return (tone.apply(first), aligned), tone.shift
    if reverse is not None:
        return (first, replace(aligned, pixels=reverse.apply(second))), -reverse.shift
    return (first, aligned), 0.0


def conclude(
    canvas: Image.Image,
    evened: tuple[Pixels, Aligned],
    changes: Changes,
    same_ratio: bool = True,
    turn: Turn = "none",
    brightening: float = 0.0,
) -> Difference:
    """Return the result in the frame of the first image, from both with one brightness."""
    pixels, aligned = evened
    inside, second = aligned.inside, aligned.pixels
    channels = [
        mean_similarity(pixels[..., index], second[..., index], inside) for index in range(3)
    ]
    similarity = sum(channels) / 3
    other = to_image(second)
    heat = to_image(changes.heat)
    is_stretched = aligned.matrix is None and not same_ratio
    if not changes.is_exact and (
        is_different(pixels, second, changes.mask, inside)
        or (is_stretched and similarity < STRETCHED_SIMILARITY)
    ):
        return Difference("different", similarity, (), canvas, other, heat)
    regions = number_boxes(box_changes(changes))
    moved = aligned.matrix is not None
    cropped = moved and is_part(aligned, inside)
    verdict: Verdict = "re-encoded"
    if regions:
        verdict = "nearly the same"
    elif cropped:
        verdict = "cropped"
    elif turn != "none":
        verdict = "turned" if turn in ("half", "quarter left", "quarter right") else "mirrored"
    elif moved:
        verdict = "nearly the same"
    elif brightening:
        verdict = "brightness"
    elif changes.noise:
        verdict = "noisy"
    return Difference(
        verdict, similarity, regions, canvas, other, heat, moved, cropped, turn, brightening,
        changes.noise,
    )  # fmt: skip


def number_boxes(boxes: list[Box]) -> tuple[Region, ...]:
    """Return numbered regions."""
    return tuple(Region(number, box) for number, box in enumerate(boxes, 1))


def see_from_second(
    compared: tuple[Difference, Matrix], first: Image.Image, second: Image.Image
) -> Difference:
    """Return a comparison of two images as one of the second with the first."""
    difference, matrix = compared
    size = choose_canvas(second)
    canvas = fit_to_size(second, size)
    turn = undo(difference.turn)
    if difference.verdict == "different":
        other = pad_to_size(first, size)
        return replace(difference, first=canvas, second=other, heat=difference.heat.resize(size))
    if difference.moved:
        back = np.linalg.inv(matrix)
        other = warp(difference.first, back, size)
        heat = warp(difference.heat, back, size)
    else:
        other = fit_to_size(turn_back(first, turn), size)
        heat = turn_back(difference.heat, turn).resize(size)
    boxes = [move_box(region.box, matrix, size) for region in difference.regions]
    return replace(
        difference,
        regions=number_boxes(sort_boxes([box for box in boxes if box], size[1])),
        first=canvas,
        second=other,
        heat=heat,
        turn=turn,
        brightening=0.0 - difference.brightening,
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
