"""Arithmetic of crops and image tokens: from an image's size to its grid and token count.

Needs no torch, so that requests can be estimated without it.
"""

import math

CROP_SIZE = 336  # pixels; the vision tower's input
# 14 px patches give 24 x 24 per crop; 2 x 2 of them become one token: 12 x 12 tokens per crop.
TOKENS_PER_SIDE = 12

# The most crops of an image, where a checkpoint's preprocessor_config.json does not say; and what a
# caller who leaves the choice open should use, for one image and for several (16 and 4, says the
# model card of Phi-3.5-vision).
NUM_CROPS = 16
AUTO_NUM_CROPS = (16, 4)


def count_image_tokens(rows: int, columns: int) -> int:
    """Tokens of an image cut into rows x columns crops, the global crop and separators included.

    Every row of tokens ends with a newline, and one separator stands before the global crop:
    1 x 1 gives 313, 3 x 4 gives 1,921, 16 x 1 gives 2,653.
    """
    sub_crops = rows * TOKENS_PER_SIDE * (columns * TOKENS_PER_SIDE + 1)
    global_crop = TOKENS_PER_SIDE * (TOKENS_PER_SIDE + 1)
    return sub_crops + 1 + global_crop


def fit_within_crops(width: int, height: int, num_crops: int) -> tuple[int, int]:
    """The size (width, height) an image is resized to, before padding, to fill num_crops crops.

    The longer side becomes 336 * s for the largest s whose grid still holds at most num_crops.
    Raises ValueError for an empty image, one more elongated than 336 * num_crops, or num_crops < 1.
    """
    if num_crops < 1:
        raise ValueError(f"num_crops is {num_crops}; it must be at least 1.")
    if width < 1 or height < 1:
        raise ValueError(f"The image is {width} x {height} pixels; both sides must be at least 1.")
    if width < height:
        fitted_height, fitted_width = fit_within_crops(height, width, num_crops)
        return fitted_width, fitted_height
    ratio = width / height
    scale = 1
    while (scale + 1) * math.ceil((scale + 1) / ratio) <= num_crops:
        scale += 1
    fitted_width = CROP_SIZE * scale
    fitted_height = int(fitted_width / ratio)
    if fitted_height < 1:
        raise ValueError(
            f"The image is {width} x {height} pixels: one side is {ratio:.0f} times the other, and "
            f"at num_crops {num_crops} the limit is {CROP_SIZE * num_crops}. "
            "Cut it into shorter pieces."
        )
    return fitted_width, fitted_height


def crop_grid(width: int, height: int, num_crops: int) -> tuple[int, int]:
    """The grid (rows, columns) of crops for an image of this size. Raises as fit_within_crops."""
    fitted_width, fitted_height = fit_within_crops(width, height, num_crops)
    return math.ceil(fitted_height / CROP_SIZE), math.ceil(fitted_width / CROP_SIZE)


def grid_without_resizing(width: int, height: int, num_crops: int) -> tuple[int, int]:
    """The grid (rows, columns) of crops that hold an image as it is; ValueError if too large."""
    if width < 1 or height < 1:
        raise ValueError(f"The image is {width} x {height} pixels; both sides must be at least 1.")
    rows, columns = math.ceil(height / CROP_SIZE), math.ceil(width / CROP_SIZE)
    if rows * columns > num_crops:
        raise ValueError(
            f"The image is {width} x {height} pixels, {rows} x {columns} crops, and num_crops is "
            f"{num_crops}; without do_resize it must fit. Raise num_crops or leave do_resize on."
        )
    return rows, columns


def is_enough(
    sizes: list[tuple[int, int]], num_crops: int, least_scale: float | None, least_side: int
) -> bool:
    """Whether num_crops show images of these sizes (width, height) closely enough.

    That is at least_scale of their own pixels, and the longer side not made smaller up to
    least_side pixels. With a least_scale of None nothing is enough.
    """
    if least_scale is None:
        return False
    try:
        fitted = [max(fit_within_crops(*size, num_crops)) for size in sizes]
    except ValueError:  # an image that only more crops can hold
        return False
    return all(
        longer >= max(least_scale * max(size), min(max(size), least_side))
        for longer, size in zip(fitted, sizes, strict=True)
    )
