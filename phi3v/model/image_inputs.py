"""Images as callers give them become PIL images: paths, addresses, arrays, in any nesting.

Knows nothing of crops or token ids. Legend: H and W height and width, C channels.
"""

from os import PathLike, fspath
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.image_utils import (
    ChannelDimension,
    infer_channel_dimension_format,
    is_scaled_image,
    load_image,
)
from transformers.utils import logging

logger = logging.get_logger(__name__)

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA


def fetch_images(images: Any) -> Any:
    """Open strings and paths: a file, an http(s) or data address, or base64; the rest stays.

    Lists may be nested. An opened image is turned as its camera held it.
    """
    if isinstance(images, (list, tuple)):
        return [fetch_images(image) for image in images]
    return load_image(fspath(images)) if isinstance(images, (str, PathLike)) else images


def is_list_of_images(images: Any) -> bool:
    """True for a list, and for an array with a dimension of images before those of one image."""
    return isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4


def flatten_images(images: Any) -> list[Any]:
    """The images of any nesting, in order. Raises ValueError for what is neither image nor list."""
    if is_list_of_images(images):
        return [image for entry in images for image in flatten_images(entry)]
    if isinstance(images, Image.Image) or getattr(images, "ndim", 0) in (2, 3):
        return [images]
    raise ValueError(
        f"An image is a {type(images).__name__}; give a PIL image, an array or tensor of 2 or 3 "
        "dimensions, a path or an address."
    )


def to_rgb(
    image: Image.Image | np.ndarray | torch.Tensor,
    do_convert_rgb: bool | None,
    do_rescale: bool | None,
    input_data_format: str | None,
) -> tuple[Image.Image, bool]:
    """An image as PIL's RGB, and whether its values were 0..1, and are to be so again.

    Transparency is dropped, as the published code does it. Raises ValueError for another mode than
    RGB without do_convert_rgb, and for values that are no colours.
    """
    is_scaled = False
    if not isinstance(image, Image.Image):
        image, is_scaled = array_to_image(image, do_rescale, input_data_format)
    if image.mode != "RGB" and not do_convert_rgb:
        raise ValueError(
            f"The image has mode {image.mode} and do_convert_rgb is off; the model sees RGB only."
        )
    return image.convert("RGB"), is_scaled


def array_to_image(
    image: np.ndarray | torch.Tensor, do_rescale: bool | None, input_data_format: str | None
) -> tuple[Image.Image, bool]:
    """An array (H, W), (C, H, W) or (H, W, C) as PIL's image, and whether its values were 0..1.

    Values are rounded to 8 bits, in which the published preprocessing resizes.
    """
    if isinstance(image, torch.Tensor):
        tensor = image.detach().cpu()
        image = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    if image.ndim == 2:
        image, input_data_format = image[None], ChannelDimension.FIRST
    layout = input_data_format or infer_channel_dimension_format(image, num_channels=CHANNELS)
    if layout == ChannelDimension.FIRST:
        image = np.moveaxis(image, 0, -1)  # (H, W, C)
    if image.shape[-1] not in CHANNELS:
        raise ValueError(
            f"The image has {image.shape[-1]} channels as {layout!s}; give 1, 3 or 4, or the right "
            "input_data_format."
        )
    is_scaled = False
    if image.dtype != np.uint8 and image.size:
        image, is_scaled = to_eight_bits(image, do_rescale)
    image = np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image)
    return Image.fromarray(image), is_scaled


def to_eight_bits(image: np.ndarray, do_rescale: bool | None) -> tuple[np.ndarray, bool]:
    """Values as uint8, and whether they were taken as 0..1, which do_rescale=False allows."""
    looks_scaled = np.issubdtype(image.dtype, np.floating) and is_scaled_image(image)
    if looks_scaled and not do_rescale:
        return np.rint(image * 255).astype(np.uint8), True
    if looks_scaled and image.max() > 0:
        logger.warning_once(
            "It looks like you are trying to rescale already rescaled images. If the input images "
            "have pixel values between 0 and 1, set `do_rescale=False` to avoid rescaling them "
            "again."
        )
    if not (image.min() >= 0 and image.max() <= 255):
        raise ValueError(
            f"The image's values go from {image.min()} to {image.max()}; give 0 to 255, or 0 to 1 "
            "with do_rescale=False."
        )
    return np.rint(image).astype(np.uint8), False
