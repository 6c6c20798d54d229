"""The baseline, the tutorials' way: plain `generate`, everything computed again per question.

It uses a dynamic cache, runs every padding crop and the repeated global crop through the vision
tower, and prepares images by one plain operation after the other.
"""

import time

import numpy as np
import torch
from PIL import Image
from transformers import StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutputWithPooling

from phi3v import Engine, Turn
from phi3v.conversation.prompt import render_prompt
from phi3v.model.crops import CROP_SIZE
from phi3v.model.image_embedding import merge_patches
from phi3v.model.image_processing import Phi3VImageProcessor, resize_and_pad


class Clock:
    """A stopping criterion that never stops, and records the time of every token."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, input_ids: torch.Tensor, scores: object) -> torch.Tensor:
        """Record the time; False for each row."""
        self.times.append(time.perf_counter())
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def prepare_image(
    image: Image.Image, processor: Phi3VImageProcessor, num_crops: int
) -> tuple[torch.Tensor, list[int]]:
    """Return crops (num_crops + 1, 3, 336, 336) and the padded size [H, W]."""
    padded = resize_and_pad(image.convert("RGB"), num_crops)
    pixels = torch.from_numpy(np.array(padded)).permute(2, 0, 1).float().div(255)
    mean = torch.tensor(processor.image_mean)[:, None, None]
    std = torch.tensor(processor.image_std)[:, None, None]
    pixels = (pixels - mean) / std
    small = torch.nn.functional.interpolate(pixels[None], (CROP_SIZE, CROP_SIZE), mode="bicubic")
    rows, columns = padded.height // CROP_SIZE, padded.width // CROP_SIZE
    grid = pixels.view(3, rows, CROP_SIZE, columns, CROP_SIZE)
    crops = torch.cat([small, grid.permute(1, 3, 0, 2, 4).flatten(0, 1)])
    padding = torch.zeros(num_crops + 1 - len(crops), *crops.shape[1:])
    return torch.cat([crops, padding]), [padded.height, padded.width]


def encode_every_crop(engine: Engine, crops: torch.Tensor, size: list[int]) -> torch.Tensor:
    """Return an image's features as the published code does, with all-zero and repeated crops."""
    embedding = engine.model.model.vision_embed_tokens
    rows, columns = size[0] // CROP_SIZE, size[1] // CROP_SIZE
    maps = merge_patches(embedding.encode_crops(crops.to(engine.device, engine.dtype)))
    tokens = embedding.arrange_tokens(maps[0], maps[1 : 1 + rows * columns], rows, columns)
    return embedding.img_projection(tokens)


def answer(
    engine: Engine, turns: tuple[Turn, ...], num_crops: int, new_tokens: int
) -> tuple[str, list[float]]:
    """Return the answer's text, and seconds from the request to each of its tokens."""
    began, clock = time.perf_counter(), Clock()
    processor = engine.processor
    images = [image for turn in turns for image in turn.images]
    prepared = [prepare_image(image, processor.image_processor, num_crops) for image in images]
    grids = [(size[0] // CROP_SIZE, size[1] // CROP_SIZE) for _, size in prepared]
    ids = torch.tensor([processor.tokenize(render_prompt(turns, processor), grids)])
    ids = ids.to(engine.device)
    with torch.inference_mode():
        features = tuple(encode_every_crop(engine, crops, size) for crops, size in prepared)
        output = engine.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=features)},
            max_new_tokens=new_tokens,
            do_sample=False,
            eos_token_id=None,
            stopping_criteria=StoppingCriteriaList([clock]),
        )
    text = processor.tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
    return text, [moment - began for moment in clock.times]
