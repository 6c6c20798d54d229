"""From PIL images to 336 x 336 crops, bit for bit as the published preprocessing makes them.

Knows pixels; knows nothing of token ids or the model. Legend: N images, K = num_crops,
H and W height and width of the resized and padded image, both multiples of 336.
"""

import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, BaseImageProcessor, BatchFeature
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from .configuration import Phi3VConfig
from .crops import CROP_SIZE, fit_within_crops

WHITE = (255, 255, 255)


def resize_and_pad(image: Image.Image, num_crops: int) -> Image.Image:
    """Scale an RGB image to its crop grid and centre it on white; both sides are multiples of 336.

    A tall image is resized transposed, as the published code does it: PIL resizes one axis after
    the other with rounding between, so the order shows in the last bit.
    """
    fitted_width, fitted_height = fit_within_crops(*image.size, num_crops)
    is_tall = image.width < image.height
    if is_tall:
        image = image.transpose(Image.Transpose.TRANSPOSE)
        fitted_width, fitted_height = fitted_height, fitted_width
    resized = image.resize((fitted_width, fitted_height), Image.Resampling.BILINEAR)
    padded_height = math.ceil(fitted_height / CROP_SIZE) * CROP_SIZE
    padded = Image.new("RGB", (fitted_width, padded_height), WHITE)
    padded.paste(resized, (0, (padded_height - fitted_height) // 2))
    return padded.transpose(Image.Transpose.TRANSPOSE) if is_tall else padded


def normalize(image: Image.Image, mean: list[float], std: list[float]) -> torch.Tensor:
    """An RGB image as float32 (3, H, W), each value v of 0..255 become (v / 255 - mean) / std.

    Channel by channel and in place: bit for bit the same as over the whole image, without the
    passes that copy it or pick every third byte of it.
    """
    planes = torch.empty(3, image.height, image.width)
    for plane, channel, centre, spread in zip(planes, image.split(), mean, std, strict=True):
        plane.copy_(torch.from_numpy(np.array(channel))).div_(255).sub_(centre).div_(spread)
    return planes


def cut_crops(pixels: torch.Tensor, crops: torch.Tensor) -> None:
    """Write the global crop, then the sub-crops row by row, of (3, H, W) into (N, 3, 336, 336).

    The global crop is the whole image squeezed to a square, without antialiasing, as published.
    """
    channels, height, width = pixels.shape
    rows, columns = height // CROP_SIZE, width // CROP_SIZE
    crops[:1] = torch.nn.functional.interpolate(
        pixels[None], size=(CROP_SIZE, CROP_SIZE), mode="bicubic", align_corners=False
    )
    grid = pixels.view(channels, rows, CROP_SIZE, columns, CROP_SIZE)
    crops[1:].view(rows, columns, channels, CROP_SIZE, CROP_SIZE).copy_(grid.permute(1, 3, 0, 2, 4))


class Phi3VImageProcessor(BaseImageProcessor):
    """Turns PIL images into `pixel_values` and `image_sizes`.

    num_crops is the most sub-crops an image may be cut into. auto_num_crops is what a caller who
    leaves the choice open should use: for one image, and for several (16 and 4, says the model
    card of Phi-3.5-vision); a checkpoint trained otherwise names its own in its
    preprocessor_config.json. auto_least_scale is the scale, relative to an image's own pixels, that
    such a choice need not exceed; with None, as published, small images are enlarged to fill it.
    Images whose longer side has up to auto_least_side pixels are not made smaller by it.
    """

    model_input_names = ["pixel_values", "image_sizes"]

    def __init__(
        self,
        num_crops: int = 16,
        image_mean: tuple[float, ...] = tuple(OPENAI_CLIP_MEAN),
        image_std: tuple[float, ...] = tuple(OPENAI_CLIP_STD),
        auto_num_crops: tuple[int, int] = (16, 4),
        auto_least_scale: float | None = None,
        auto_least_side: int = 0,
        do_convert_rgb: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_crops = num_crops
        self.image_mean = list(image_mean)
        self.image_std = list(image_std)
        self.auto_num_crops = list(auto_num_crops)
        self.auto_least_scale = auto_least_scale
        self.auto_least_side = auto_least_side
        self.do_convert_rgb = do_convert_rgb

    def is_enough(self, sizes: list[tuple[int, int]], num_crops: int) -> bool:
        """Whether these sizes (width, height) are shown at auto_least_scale and auto_least_side."""
        if self.auto_least_scale is None:
            return False
        try:
            fitted = [max(fit_within_crops(*size, num_crops)) for size in sizes]
        except ValueError:  # an image that only more crops can hold
            return False
        return all(
            longer >= max(self.auto_least_scale * max(size), min(max(size), self.auto_least_side))
            for longer, size in zip(fitted, sizes, strict=True)
        )

    def preprocess(
        self,
        images: Image.Image | list[Image.Image],
        num_crops: int | None = None,
        return_tensors: str | None = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare one image or a list of them.

        Returns `pixel_values`, float32 (N, num_crops + 1, 3, 336, 336): global crop, sub-crops,
        zeros; and `image_sizes`, int64 (N, 2): the padded [H, W]. Raises ValueError for an image
        that is no PIL image, is empty, or is more elongated than 336 * num_crops.
        """
        num_crops = self.num_crops if num_crops is None else num_crops
        images = [images] if isinstance(images, Image.Image) else list(images)
        for image in images:
            if not isinstance(image, Image.Image):
                raise ValueError(f"An image is a {type(image).__name__}; give PIL images.")
        pixel_values = torch.empty(len(images), num_crops + 1, 3, CROP_SIZE, CROP_SIZE)
        image_sizes = torch.empty(len(images), 2, dtype=torch.int64)
        for crops, size, image in zip(pixel_values, image_sizes, images, strict=True):
            padded = resize_and_pad(image.convert("RGB"), num_crops)
            count = 1 + padded.height // CROP_SIZE * (padded.width // CROP_SIZE)
            cut_crops(normalize(padded, self.image_mean, self.image_std), crops[:count])
            crops[count:] = 0
            size[:] = torch.tensor([padded.height, padded.width])
        data = {"pixel_values": pixel_values, "image_sizes": image_sizes}
        return BatchFeature(data, tensor_type=return_tensors)


AutoImageProcessor.register(
    Phi3VConfig,
    # One class on both names: it needs no torchvision, whichever backend is asked for.
    image_processor_classes={"pil": Phi3VImageProcessor, "torchvision": Phi3VImageProcessor},
)
