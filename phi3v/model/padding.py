"""Images scaled to their crop grid and padded, bit for bit as published. Needs no torch."""

import math

from PIL import Image

from .crops import CROP_SIZE, fit_within_crops

WHITE = (255, 255, 255)


def resize_and_pad(
    image: Image.Image, num_crops: int, resample: int = Image.Resampling.BILINEAR
) -> Image.Image:
    """Scale an RGB image to its crop grid and centre it on white; both sides are multiples of 336.

    A tall image is resized transposed, as the published code does it: PIL resizes one axis after
    the other with rounding between, so the order shows in the last bit.
    """
    fitted_width, fitted_height = fit_within_crops(*image.size, num_crops)
    is_tall = image.width < image.height
    if is_tall:
        image = image.transpose(Image.Transpose.TRANSPOSE)
        fitted_width, fitted_height = fitted_height, fitted_width
    padded = pad(image.resize((fitted_width, fitted_height), Image.Resampling(resample)))
    return padded.transpose(Image.Transpose.TRANSPOSE) if is_tall else padded


def pad(image: Image.Image) -> Image.Image:
    """Centre an RGB image on white, whose sides are the next multiples of 336."""
    width, height = (math.ceil(side / CROP_SIZE) * CROP_SIZE for side in image.size)
    padded = Image.new("RGB", (width, height), WHITE)
    padded.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return padded
