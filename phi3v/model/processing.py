"""From prompts with image tags to token ids, each image's slots filled with one placeholder id.

Knows the tokenizer and the image processor. Legend: B prompts, T tokens, N images over all
prompts, K = num_crops.
"""

import re
from itertools import islice
from typing import Any

from PIL import Image
from transformers import AutoProcessor, BatchFeature, PreTrainedTokenizerFast, ProcessorMixin

from .configuration import Phi3VConfig
from .crops import CROP_SIZE, count_image_tokens, crop_grid
from .image_processing import Phi3VImageProcessor

IMAGE_TAG = re.compile(r"<\|image_(\d+)\|>")
IMAGE_TOKEN = "<|image|>"

Images = Image.Image | list[Image.Image] | list[list[Image.Image]] | None


class Phi3VProcessor(ProcessorMixin):
    """Turns prompts and images into the model's inputs.

    A prompt names its images by the tags `<|image_1|>` ... `<|image_n|>`, in any order.
    """

    def __init__(
        self,
        image_processor: Phi3VImageProcessor,
        tokenizer: PreTrainedTokenizerFast,
        chat_template: str | None = None,
    ) -> None:
        super().__init__(
            image_processor, tokenizer, chat_template=chat_template or tokenizer.chat_template
        )
        # A decoder's batch ends where generation begins.
        tokenizer.padding_side = "left"
        self.image_token = IMAGE_TOKEN
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)

    @classmethod
    def _load_tokenizer_from_pretrained(
        cls, sub_processor_type: str, pretrained_model_name_or_path: str, **kwargs: Any
    ) -> PreTrainedTokenizerFast:
        """Load tokenizer.json as it is.

        AutoTokenizer builds a LlamaTokenizer of the published files, whose ids lack the 29871 that
        stands after a special token.
        """
        kwargs.pop("trust_remote_code", None)
        return PreTrainedTokenizerFast.from_pretrained(pretrained_model_name_or_path, **kwargs)

    def __call__(
        self,
        text: str | list[str],
        images: Images = None,
        num_crops: int | None = None,
        return_tensors: str | None = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare one prompt or a batch.

        images is one image, a list (for a batch: of all prompts' images in order), or a list of
        lists, one per prompt. Returns `input_ids` and `attention_mask`, int64 (B, T), left padded;
        with images also `pixel_values`, float32 (N, K + 1, 3, 336, 336), and `image_sizes`, int64
        (N, 2), in the order in which the tags stand in the prompts.

        A tag may stand in several places. Raises ValueError where a prompt's tags are not 1..n or
        n is not the number of its images, and for images that Phi3VImageProcessor refuses.
        """
        texts = [text] if isinstance(text, str) else list(text)
        tag_numbers = [read_image_tags(text) for text in texts]
        images_per_text = share_images(images, [len(set(numbers)) for numbers in tag_numbers])
        ordered_images = [
            images_of_text[number - 1]
            for numbers, images_of_text in zip(tag_numbers, images_per_text, strict=True)
            for number in numbers
        ]
        image_inputs = (
            self.image_processor(ordered_images, num_crops=num_crops) if ordered_images else {}
        )
        sizes = image_inputs["image_sizes"].tolist() if image_inputs else []
        grids = iter([(height // CROP_SIZE, width // CROP_SIZE) for height, width in sizes])
        rows = [
            self.tokenize(text, list(islice(grids, len(numbers))))
            for text, numbers in zip(texts, tag_numbers, strict=True)
        ]
        padded = self.tokenizer.pad(
            {"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]},
            return_tensors="pt",
        )
        data = {"input_ids": padded["input_ids"], "attention_mask": padded["attention_mask"]}
        return BatchFeature({**data, **image_inputs}, tensor_type=return_tensors)

    def tokenize(self, text: str, grids: list[tuple[int, int]]) -> list[int]:
        """Token ids of one prompt; grids are the crop grids (rows, columns) of its tags in order.

        The text is cut at the tags and every piece, also an empty one, is tokenized on its own
        with its own BOS: as the published processor does it, and as the model was trained.
        """
        first, *chunks = IMAGE_TAG.split(text)[::2]
        input_ids = self.tokenizer(first).input_ids
        for chunk, grid in zip(chunks, grids, strict=True):
            slots = [self.image_token_id] * count_image_tokens(*grid)
            input_ids = input_ids + slots + self.tokenizer(chunk).input_ids
        return list(input_ids)

    def count_tokens(
        self, text: str, sizes: list[tuple[int, int]], num_crops: int
    ) -> tuple[int, int]:
        """How many tokens a prompt takes, computed without its pixels: (of text, of images).

        sizes are the images' (width, height), image n's at n - 1. Raises ValueError as a call does.
        """
        chunks = IMAGE_TAG.split(text)[::2]
        text_tokens = sum(len(ids) for ids in self.tokenizer(chunks).input_ids)
        image_tokens = sum(
            count_image_tokens(*crop_grid(*sizes[number - 1], num_crops))
            for number in read_image_tags(text)
        )
        return text_tokens, image_tokens

    @property
    def model_input_names(self) -> list[str]:
        """The names of the tensors a call returns."""
        return ["input_ids", "attention_mask", "pixel_values", "image_sizes"]


def read_image_tags(text: str) -> list[int]:
    """The numbers of the image tags, in the order of the text; ValueError unless they are 1..n."""
    numbers = [int(number) for number in IMAGE_TAG.findall(text)]
    if set(numbers) != set(range(1, len(set(numbers)) + 1)):
        raise ValueError(
            f"The prompt's image tags are numbered {numbers}; number them from 1 without a gap: "
            "<|image_1|>, <|image_2|>, ..."
        )
    return numbers


def share_images(images: Images, tags_per_text: list[int]) -> list[list[Image.Image]]:
    """Each prompt's images; ValueError where their number is not that of the prompt's tags."""
    entries: list[Any] = [images] if isinstance(images, Image.Image) else list(images or [])
    if any(isinstance(entry, (list, tuple)) for entry in entries):
        shared = [list(entry) for entry in entries]
    elif len(entries) == sum(tags_per_text):
        remaining = iter(entries)
        shared = [[next(remaining) for _ in range(count)] for count in tags_per_text]
    else:
        raise ValueError(
            f"The prompt has {sum(tags_per_text)} image tags and {len(entries)} images were given; "
            "give one image for each tag."
        )
    given = [len(entry) for entry in shared]
    if given != tags_per_text:
        raise ValueError(
            f"The prompts have {tags_per_text} image tags and {given} images were given; "
            "give each prompt one image for each of its tags."
        )
    return shared


AutoProcessor.register(Phi3VConfig, Phi3VProcessor)
