"""Image tags in prompts: where they stand, and the token ids and counts of a prompt with them.

Works with any function from text to token ids, and needs no torch.
"""

import re
from collections.abc import Callable

from .crops import count_image_tokens, crop_grid

IMAGE_TOKEN = "<|image|>"
# A place says its image's number, or takes the next image: <|image_2|> or <|image|>.
IMAGE_TAG = re.compile(r"<\|image(?:_(\d+))?\|>")


def read_image_tags(text: str) -> list[int]:
    """The numbers of the images, from 1, in the order in which a prompt shows them.

    Raises ValueError unless the tags' numbers are 1..n, or where some tags have none.
    """
    written = IMAGE_TAG.findall(text)
    if written and not any(written):
        return list(range(1, len(written) + 1))
    if not all(written):
        raise ValueError(
            f"The prompt has {IMAGE_TOKEN} beside numbered image tags; number all of them, "
            "<|image_1|>, <|image_2|>, ..., or none."
        )
    numbers = [int(number) for number in written]
    if set(numbers) != set(range(1, len(set(numbers)) + 1)):
        raise ValueError(
            f"The prompt's image tags are numbered {numbers}; number them from 1 without a gap: "
            "<|image_1|>, <|image_2|>, ..."
        )
    return numbers


def tokenize_prompt(
    text: str,
    grids: list[tuple[int, int]],
    tokenize: Callable[[str], list[int]],
    image_token_id: int,
) -> list[int]:
    """Token ids of one prompt; grids are the crop grids (rows, columns) of its tags in order.

    The text is cut at the tags and every piece, also an empty one, is tokenized on its own with its
    own BOS: as the published processor does it, and as the model was trained.
    """
    first, *chunks = IMAGE_TAG.split(text)[::2]
    input_ids = list(tokenize(first))
    for chunk, grid in zip(chunks, grids, strict=True):
        input_ids += [image_token_id] * count_image_tokens(*grid)
        input_ids += tokenize(chunk)
    return input_ids


def count_prompt_tokens(
    text: str, sizes: list[tuple[int, int]], num_crops: int, tokenize: Callable[[str], list[int]]
) -> tuple[int, int]:
    """How many tokens a prompt takes, computed without its pixels: (of text, of images).

    sizes are the images' (width, height), image n's at n - 1. Raises ValueError where the tags or
    an image's size cannot be used.
    """
    text_tokens = sum(len(tokenize(chunk)) for chunk in IMAGE_TAG.split(text)[::2])
    image_tokens = sum(
        count_image_tokens(*crop_grid(*sizes[number - 1], num_crops))
        for number in read_image_tags(text)
    )
    return text_tokens, image_tokens
