"""From images to 336 x 336 crops, bit for bit as the published preprocessing makes them.

Knows pixels; knows nothing of token ids or the model. Legend: N images, K = num_crops,
H and W height and width of the resized and padded image, both multiples of 336.
"""

from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import (
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
    ImageInput,
    validate_preprocess_arguments,
)

from .configuration import Phi3VConfig
from .crops import AUTO_NUM_CROPS, CROP_SIZE, NUM_CROPS, grid_without_resizing, is_enough
from .image_inputs import fetch_images, flatten_images, to_rgb
from .keywords import Phi3VImageProcessorKwargs
from .padding import pad, resize_and_pad

# Keywords of transformers' image processors that cannot be obeyed, with the values that ask for
# what is done anyway.
FIXED_KEYWORDS: dict[str, tuple[Any, ...]] = {
    "size": (None,),  # num_crops says how large an image becomes
    "default_to_square": (None, True),
    "do_center_crop": (None, False),
    "crop_size": (None,),
    "do_pad": (None, True),
    "pad_size": (None,),
    "data_format": (None, "channels_first"),
    "disable_grouping": (None, True),
    "image_seq_length": (None,),
}


def normalize(
    image: Image.Image, divisor: float, mean: tuple[float, ...], std: tuple[float, ...]
) -> torch.Tensor:
    """An RGB image as float32 (3, H, W), each value v of 0..255 become (v / divisor - mean) / std.

    Channel by channel and in place: bit for bit the same as over the whole image, without the
    passes that copy it or pick every third byte of it.
    """
    planes = torch.empty(3, image.height, image.width)
    for plane, channel, centre, spread in zip(planes, image.split(), mean, std, strict=True):
        plane.copy_(torch.from_numpy(np.array(channel))).div_(divisor).sub_(centre).div_(spread)
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


class Phi3VImageProcessor(PilBackend):
    """Turns images into `pixel_values` and `image_sizes`.

    num_crops is the most sub-crops an image may be cut into. auto_num_crops is what a caller who
    leaves the choice open should use: for one image, and for several (16 and 4, says the model
    card of Phi-3.5-vision); a checkpoint trained otherwise names its own in its
    preprocessor_config.json. auto_least_scale is the scale, relative to an image's own pixels, that
    such a choice need not exceed; with None, as published, small images are enlarged to fill it.
    Images whose longer side has up to auto_least_side pixels are not made smaller by it.
    The other settings are transformers'.
    """

    valid_kwargs = Phi3VImageProcessorKwargs
    model_input_names = ["pixel_values", "image_sizes"]

    num_crops = NUM_CROPS
    do_convert_rgb = True
    do_resize = True
    resample = Image.Resampling.BILINEAR
    do_rescale = True
    do_normalize = True
    image_mean = tuple(OPENAI_CLIP_MEAN)
    image_std = tuple(OPENAI_CLIP_STD)
    return_tensors = "pt"

    def __init__(
        self,
        auto_num_crops: tuple[int, int] = AUTO_NUM_CROPS,
        auto_least_scale: float | None = None,
        auto_least_side: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.auto_num_crops = list(auto_num_crops)
        self.auto_least_scale = auto_least_scale
        self.auto_least_side = auto_least_side

    def is_enough(self, sizes: list[tuple[int, int]], num_crops: int) -> bool:
        """Whether these sizes (width, height) are shown at auto_least_scale and auto_least_side."""
        return is_enough(sizes, num_crops, self.auto_least_scale, self.auto_least_side)

    def preprocess(self, images: ImageInput, *args: Any, **kwargs: Any) -> BatchFeature:
        """Prepare one image, a list of images or a list of lists of them.

        An image is PIL's, an array or tensor with channels first or last, or names a file or an
        address. Arrays hold 0..255, or, with do_rescale=False, 0..1. Transparency is dropped, as
        published. Without do_resize an image keeps its pixels.

        Returns `pixel_values`, float32 (N, num_crops + 1, 3, 336, 336): global crop, sub-crops,
        zeros; and `image_sizes`, int64 (N, 2): the padded [H, W]. Raises ValueError for what is no
        image, for an image that is empty, more elongated than 336 * num_crops or, without
        do_resize, larger than num_crops crops, and for a keyword that asks for anything else.
        """
        for name, accepted in FIXED_KEYWORDS.items():
            value = kwargs.get(name, getattr(self, name))
            if value not in accepted:
                raise ValueError(
                    f"{name}={value!r} is not supported: images are scaled to fill at most "
                    "num_crops crops, padded with white and returned with channels first."
                )
        return super().preprocess(images, *args, **kwargs)

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Open what names a file or an address, in any nesting; see `image_inputs.fetch_images`."""
        return fetch_images(image_url_or_urls)

    def _validate_preprocess_kwargs(self, **kwargs: Any) -> None:
        names = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
        validate_preprocess_arguments(**{name: kwargs[name] for name in names})
        if kwargs["do_rescale"] and not kwargs["rescale_factor"]:
            raise ValueError("rescale_factor is 0; every image would be black.")

    def _preprocess_image_like_inputs(
        self, images: ImageInput, *args: Any, **kwargs: Any
    ) -> BatchFeature:
        listed = flatten_images(self.fetch_images(images))
        num_crops = self.num_crops if kwargs["num_crops"] is None else kwargs["num_crops"]
        mean: tuple[float, ...] = (0.0,) * 3
        std: tuple[float, ...] = (1.0,) * 3
        if kwargs["do_normalize"]:
            mean = per_channel(kwargs["image_mean"], "image_mean")
            std = per_channel(kwargs["image_std"], "image_std")
        pixel_values = torch.empty(len(listed), num_crops + 1, 3, CROP_SIZE, CROP_SIZE)
        image_sizes = torch.empty(len(listed), 2, dtype=torch.int64)
        for crops, size, image in zip(pixel_values, image_sizes, listed, strict=True):
            rgb, is_scaled = to_rgb(
                image,
                kwargs["do_convert_rgb"],
                kwargs["do_rescale"],
                kwargs["input_data_format"],
            )
            if kwargs["do_resize"]:
                padded = resize_and_pad(rgb, num_crops, kwargs["resample"])
            else:
                grid_without_resizing(*rgb.size, num_crops)
                padded = pad(rgb)
            divisor = 1 / kwargs["rescale_factor"] if kwargs["do_rescale"] else 1.0
            count = 1 + padded.height // CROP_SIZE * (padded.width // CROP_SIZE)
            cut_crops(normalize(padded, 255 if is_scaled else divisor, mean, std), crops[:count])
            crops[count:] = 0
            size[:] = torch.tensor([padded.height, padded.width])
        return pack(pixel_values, image_sizes, kwargs["device"], kwargs["return_tensors"])


def per_channel(value: float | tuple[float, ...], name: str) -> tuple[float, ...]:
    """One number for each of red, green and blue; ValueError for another count of them."""
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,) * 3
    if len(values) != 3:
        raise ValueError(f"{name} has {len(values)} numbers; give one, or one for each of RGB.")
    return values


def pack(
    pixel_values: torch.Tensor,
    image_sizes: torch.Tensor,
    device: str | torch.device | None,
    return_tensors: str | None,
) -> BatchFeature:
    """Tensors of the asked kind, pixels on the device; without a kind, lists of arrays, sizes."""
    if return_tensors is None:
        return BatchFeature(
            {"pixel_values": list(pixel_values.numpy()), "image_sizes": image_sizes.tolist()}
        )
    if device is not None:
        pixel_values = pixel_values.to(device)
    data = {"pixel_values": pixel_values, "image_sizes": image_sizes}
    return BatchFeature(data, tensor_type=return_tensors)


AutoImageProcessor.register(
    Phi3VConfig,
    # One class on both names: it needs no torchvision, whichever backend is asked for.
    image_processor_classes={"pil": Phi3VImageProcessor, "torchvision": Phi3VImageProcessor},
)
