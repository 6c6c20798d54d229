"""The images of prompts: which belongs to which. Knows neither tokenizer nor pixels."""

from typing import Any

from .image_inputs import flatten_images, is_list_of_images
from .prompt_tokens import IMAGE_TOKEN


def share_images(images: Any, tags_per_text: list[int]) -> list[list[Any]]:
    """Each prompt's images; ValueError where their number is not that of the prompt's tags.

    images is one image, a list of all prompts' images in order, or a list of one list a prompt.
    """
    entries = list(images) if is_list_of_images(images) else flatten_images(images)
    if len(tags_per_text) == 1:
        shared = [flatten_images(entries)]
    elif any(is_list_of_images(entry) for entry in entries):
        shared = [flatten_images(entry) for entry in entries]
    elif len(entries) == sum(tags_per_text):
        remaining = iter(entries)
        shared = [[next(remaining) for _ in range(count)] for count in tags_per_text]
    else:
        raise mismatch(sum(tags_per_text), len(entries))
    given = [len(entry) for entry in shared]
    if given != tags_per_text:
        one = len(tags_per_text) == 1 == len(given)
        raise mismatch(*(tags_per_text + given if one else (tags_per_text, given)))
    return shared


def mismatch(tags: int | list[int], images: int | list[int]) -> ValueError:
    """The error for another number of images than of image tags; of a batch, prompt by prompt."""
    return ValueError(
        f"{'The prompts have' if isinstance(tags, list) else 'The prompt has'} {tags} image tags "
        f"and {images} images were given; the number of image tokens in the prompts should be the "
        f"same as the number of images: one tag, <|image_1|> or {IMAGE_TOKEN}, for each image."
    )
