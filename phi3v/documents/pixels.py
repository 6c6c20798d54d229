"""Converts pixels of any kind to 8 bits of red, green and blue, as a viewer shows them.

Samples of more than 8 bits and floats are scaled by the range they use, not by that of their type.
Must not know files or limits.
"""

from typing import Final

import numpy as np
from PIL import Image

WHITE_IS_ZERO: Final = 0  # TIFF's PhotometricInterpretation (262)
UNSIGNED: Final = 1  # TIFF's SampleFormat (339)
PHOTOMETRIC, SAMPLE_FORMAT = 262, 339


def has_wide_samples(image: Image.Image) -> bool:
    """True if an image that is not loaded yet has 16 bits a sample, of which Pillow keeps 8."""
    return ";16" in str(getattr(image, "tile", ()))


def flatten(image: Image.Image, is_wide: bool = False) -> Image.Image:
    """Return a copy in RGB of an image of any mode, on white where it is transparent.

    is_wide tells that its samples had 16 bits, see has_wide_samples.
    """
    if image.mode[0] in "IF":  # more than 8 bits a pixel: convert() clips most values to white
        return Image.fromarray(scale_samples(image)).convert("RGB")
    if is_wide:
        image = scale_dark(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    # Always a copy: the caller's image, or the open file, must not change.
    return image.convert("RGB")


def scale_samples(image: Image.Image) -> np.ndarray:
    """Return the grey values of an image of mode I, I;16 or F as (height, width) uint8."""
    values = np.asarray(image)
    if values.dtype == bool or not values.size:
        return values.astype(np.uint8)
    tags = getattr(image, "tag_v2", {})
    if values.dtype == np.int32 and tags.get(SAMPLE_FORMAT, UNSIGNED) in (UNSIGNED, (UNSIGNED,)):
        values = values.view(np.uint32) if tags else values
    if values.dtype.kind == "f":
        low, high = find_float_range(values)
        values = np.nan_to_num(values, nan=high, posinf=high, neginf=low)
    else:
        low, high = find_integer_range(int(values.min()), int(values.max()))
    scaled = (values.astype(np.float32) - low) * (255 / (high - low))
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        scaled = 255 - scaled
    grey = np.rint(scaled).clip(0, 255).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):  # one grey value stands for "nothing here"
        grey[np.asarray(image) == transparent] = 255
    return grey


def find_integer_range(low: int, high: int) -> tuple[int, int]:
    """Return the values of black and white for integers between low and high.

    Scanners and cameras write 9 to 14 bits into 16, and 8 or 16 into 32; anything of 15 bits is
    taken for a dark picture of 16. Values below zero have no black of their own: the lowest is.
    """
    if low < 0:
        return low, max(high, low + 1)
    bits = high.bit_length()
    if bits <= 1 and high > low:  # a mask of zeros and ones
        return 0, 1
    return 0, 2 ** (8 if bits <= 8 else 16 if bits == 15 else bits) - 1


def find_float_range(values: np.ndarray) -> tuple[float, float]:
    """Return the values of black and white for floats: 0 and 1, or the range of an integer.

    Single values above 1, as of a light's reflection, do not make a picture of 0 to 1 darker.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if low >= -1.0 and np.percentile(finite, 99) <= 1.0:
        return 0.0, 1.0
    if low < 0.0 or high > 2**32:
        return low, max(high, np.nextafter(low, np.inf))
    return 0.0, float(find_integer_range(0, int(high))[1])


def scale_dark(image: Image.Image) -> Image.Image:
    """Return an image of colours, of whose 16 bits 8 are left, scaled if only 14 or fewer are used.

    Transparency by a colour, given in 16 bits, is brought to 8.
    """
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in transparent)
    bands = image.split()
    colours = bands[:-1] if image.mode in ("LA", "RGBA") else bands
    high = max(int(np.asarray(band).max(initial=0)) for band in colours)
    if not 0 < high < 64:
        return image
    scale = 255 / (2 ** int(high).bit_length() - 1)
    scaled = [band.point([min(255, round(i * scale)) for i in range(256)]) for band in colours]
    merged = Image.merge(image.mode, [*scaled, *bands[len(colours) :]])
    merged.info = dict(image.info)
    if "transparency" in merged.info and isinstance(transparent, tuple):
        merged.info["transparency"] = tuple(
            min(255, round(value * scale)) for value in image.info["transparency"]
        )
    return merged
