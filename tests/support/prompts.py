"""Inputs of a model: a question about noisy pictures."""

import numpy as np
import torch
from PIL import Image

from phi3v import Phi3VProcessor


def draw_noise(width: int, height: int) -> Image.Image:
    """A picture whose every pixel has its own colour, the same each time."""
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def prepare(
    processor: Phi3VProcessor, sizes: list[tuple[int, int]], num_crops: int = 1, answer: str = ""
) -> dict[str, torch.Tensor]:
    """The model's inputs for a question about pictures of these sizes, and perhaps its answer."""
    tags = "".join(f"<|image_{number}|>\n" for number in range(1, len(sizes) + 1))
    prompt = f"<|user|>\n{tags}What is it?<|end|>\n<|assistant|>\n{answer}"
    images = [draw_noise(*size) for size in sizes]
    return dict(processor(prompt, images or None, num_crops=num_crops))
