"""From prompts with image tags to token ids, each image's slots filled with one placeholder id.

Knows the tokenizer and the image processor. Legend: B prompts, T tokens, N images over all
prompts, K = num_crops.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub.dataclasses import validate_typed_dict
from transformers import AutoProcessor, BatchFeature, PreTrainedTokenizerFast, ProcessorMixin
from transformers.image_utils import ImageInput
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.processing_utils import MultiModalData, TextKwargs

from .configuration import Phi3VConfig
from .crops import CROP_SIZE, count_image_tokens, crop_grid, grid_without_resizing
from .image_tags import share_images
from .keywords import Phi3VProcessorKwargs
from .prompt_encoding import CutPrompt, encode_prompts
from .prompt_tokens import (
    IMAGE_TAG,
    IMAGE_TOKEN,
    count_prompt_tokens,
    read_image_tags,
    tokenize_prompt,
)

if TYPE_CHECKING:
    from .image_processing import Phi3VImageProcessor

# Obeyed here, though transformers passes them on to the tokenizer as well.
PROCESSOR_KEYWORDS = ("return_mm_token_type_ids", "return_text_replacement_offsets")
CHAT_TEMPLATE_FILE = Path(__file__).with_name("chat_template.jinja")


class Phi3VProcessor(ProcessorMixin):
    """Turns prompts and images into the model's inputs.

    A prompt names its images by the tags `<|image_1|>` ... `<|image_n|>`, in any order, or takes
    the next one by `<|image|>`. Without a chat_template, and unless the tokenizer's own knows
    images, which the published ones do not, the one in chat_template.jinja is used.
    """

    valid_processor_kwargs = Phi3VProcessorKwargs
    text_kwargs = {"padding": True, "return_tensors": "pt"}

    def __init__(
        self,
        image_processor: "Phi3VImageProcessor",
        tokenizer: PreTrainedTokenizerFast,
        chat_template: str | dict[str, str] | None = None,
    ) -> None:
        if chat_template is None:
            chat_template = tokenizer.chat_template
            if "image" not in str(chat_template):
                chat_template = CHAT_TEMPLATE_FILE.read_text(encoding="utf-8")
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        # A decoder's batch ends where generation begins, unless the tokenizer was told otherwise.
        if "padding_side" not in tokenizer.init_kwargs:
            tokenizer.init_kwargs["padding_side"] = tokenizer.padding_side = "left"
        self.image_token = IMAGE_TOKEN
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)

    @classmethod
    def _load_tokenizer_from_pretrained(
        cls, sub_processor_type: str, pretrained_model_name_or_path: str, **kwargs: Any
    ) -> PreTrainedTokenizerFast:
        """Load tokenizer.json as it is.

        AutoTokenizer builds a LlamaTokenizer of the published files, whose ids lack the 29871 that
        stands after a special token. The published padding_side, "right", is passed over: answers
        are written where a row ends. One that was saved from here names another class and stays.
        """
        kwargs.pop("trust_remote_code", None)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(pretrained_model_name_or_path, **kwargs)
        saved = get_tokenizer_config(pretrained_model_name_or_path, **kwargs)
        if saved.get("tokenizer_class", "").startswith("Llama") and "padding_side" not in kwargs:
            tokenizer.init_kwargs.pop("padding_side", None)
        return tokenizer

    def __call__(
        self,
        text: str | list[str] | None = None,
        images: ImageInput | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare one prompt or a batch, or images alone.

        images is one image, a list (for a batch: of all prompts' images in order), or a list of
        lists, one per prompt; what an image is, Phi3VImageProcessor says. Returns `input_ids` and
        `attention_mask`, int64 (B, T), padded on the tokenizer's padding_side; with images also
        `pixel_values`, float32 (N, K + 1, 3, 336, 336), and `image_sizes`, int64 (N, 2), in the
        order in which the tags stand in the prompts. Keywords are transformers', and num_crops.

        A tag may stand in several places. Raises ValueError where a prompt's tags are not 1..n or
        n is not the number of its images, for images that Phi3VImageProcessor refuses, and for
        keywords that are not supported.
        """
        refuse_other_media(kwargs)
        texts = [text] if isinstance(text, str) else text
        self.validate_inputs(images=images, text=texts)
        merged = self._merge_kwargs(tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs)
        image_kwargs, text_kwargs = merged["images_kwargs"], merged["text_kwargs"]
        if texts is None:
            return self.image_processor(images, **image_kwargs)
        for name in PROCESSOR_KEYWORDS:
            text_kwargs.pop(name, None)
        if kwargs:  # of images' keywords their processor does it, of texts' nothing in transformers
            validate_typed_dict(TextKwargs, text_kwargs)
        return_tensors = text_kwargs.pop("return_tensors", None)
        if image_kwargs.setdefault("return_tensors", return_tensors) != return_tensors:
            raise ValueError("return_tensors differs for text and images; give it once, for both.")

        ordered_images = self.order_images(texts, images)
        image_inputs = (
            self.image_processor(ordered_images, **image_kwargs) if ordered_images else {}
        )
        slots = iter([count_slots(size) for size in image_inputs.get("image_sizes", [])])
        prompts = [cut_prompt(text, slots) for text in texts]
        data = encode_prompts(self.tokenizer, prompts, text_kwargs)
        if merged["return_mm_token_type_ids"]:
            data["mm_token_type_ids"] = self.create_mm_token_type_ids(data["input_ids"])
        if merged["return_text_replacement_offsets"]:
            pairs = zip(texts, prompts, strict=True)
            data["text_replacement_offsets"] = [list_replacements(*pair) for pair in pairs]
        return BatchFeature(
            {**data, **image_inputs},
            tensor_type=return_tensors,
            skip_tensor_conversion=self.skip_tensor_conversion,
        )

    def validate_inputs(
        self,
        images: ImageInput | None = None,
        text: list[str] | None = None,
        videos: Any = None,
        audio: Any = None,
        **kwargs: Any,
    ) -> None:
        """Raise ValueError without any input, and for prompts that are no strings."""
        if text is None and images is None:
            raise ValueError("Give text, images or both.")
        if text is None:
            return
        is_list = isinstance(text, (list, tuple)) and len(text) > 0
        if not is_list or not all(isinstance(entry, str) for entry in text):
            raise ValueError(
                "`text` must be a string or list of strings, and stands before `images`: "
                "processor(text, images) or processor(images=..., text=...)."
            )

    def order_images(self, texts: list[str], images: ImageInput | None) -> list[Any]:
        """The images in the order of their tags, once for each tag. Raises ValueError as a call."""
        tag_numbers = [read_image_tags(text) for text in texts]
        fetched = self.image_processor.fetch_images([] if images is None else images)
        images_per_text = share_images(fetched, [len(set(numbers)) for numbers in tag_numbers])
        return [
            images_of_text[number - 1]
            for numbers, images_of_text in zip(tag_numbers, images_per_text, strict=True)
            for number in numbers
        ]

    def replace_image_token(self, image_inputs: dict, image_idx: int, **kwargs: Any) -> str:
        """An image's slots, as text."""
        return IMAGE_TOKEN * count_slots(image_inputs["image_sizes"][image_idx])

    def apply_chat_template(
        self, conversation: Any, chat_template: str | None = None, **kwargs: Any
    ) -> Any:
        """As transformers' own; raises ValueError for what this model's chat format has not."""
        if chat_template is None:
            for name in ("tools", "documents", "load_audio_from_video", "sanitize_control_tokens"):
                if kwargs.get(name):
                    raise ValueError(f"{name} is not supported: Phi-3-Vision's chats have none.")
        return super().apply_chat_template(conversation, chat_template, **kwargs)

    def tokenize(self, text: str, grids: list[tuple[int, int]]) -> list[int]:
        """Token ids of one prompt; grids are the crop grids (rows, columns) of its tags in order.

        Every piece of text between tags has its own BOS, see phi3v.model.prompt_tokens.
        """
        return tokenize_prompt(text, grids, self._tokenize_text, self.image_token_id)

    def count_tokens(
        self, text: str, sizes: list[tuple[int, int]], num_crops: int
    ) -> tuple[int, int]:
        """How many tokens a prompt takes, computed without its pixels: (of text, of images).

        sizes are the images' (width, height), image n's at n - 1. Raises ValueError as a call does.
        """
        return count_prompt_tokens(text, sizes, num_crops, self._tokenize_text)

    def _tokenize_text(self, text: str) -> list[int]:
        return list(self.tokenizer(text).input_ids)

    def _get_num_multimodal_tokens(
        self, image_sizes: list[tuple[int, int]] | None = None, **kwargs: Any
    ) -> MultiModalData:
        """How many tokens images of these sizes (height, width) take, for servers such as vLLM.

        kwargs are a call's. An image is one row of `pixel_values`, so one patch.
        """
        if image_sizes is None:
            return MultiModalData()
        options = self._merge_kwargs(**kwargs)["images_kwargs"]
        num_crops = options.get("num_crops") or self.image_processor.num_crops
        do_resize = options.get("do_resize", self.image_processor.do_resize)
        grid_of = crop_grid if do_resize else grid_without_resizing
        return MultiModalData(
            num_image_tokens=[
                count_image_tokens(*grid_of(width, height, num_crops))
                for height, width in image_sizes
            ],
            num_image_patches=[1] * len(image_sizes),
        )

    @property
    def model_input_names(self) -> list[str]:
        """The names of the tensors a call returns."""
        return ["input_ids", "attention_mask", "pixel_values", "image_sizes"]


def refuse_other_media(kwargs: dict[str, Any]) -> None:
    """Raise ValueError for videos and audio, which transformers would pass over in silence."""
    for name in ("videos", "audio", "videos_kwargs", "audio_kwargs"):
        value = kwargs.get(name)
        if value is not None and (not name.endswith("_kwargs") or value):
            raise ValueError(f"{name} was given; Phi-3-Vision takes text and images.")


def count_slots(size: Any) -> int:
    """The tokens of an image whose padded (height, width) is size, both multiples of 336."""
    height, width = (int(side) for side in size)
    return count_image_tokens(height // CROP_SIZE, width // CROP_SIZE)


def cut_prompt(text: str, slots: Iterator[int]) -> CutPrompt:
    """A prompt cut at its image tags, with the slots of its images taken off the iterator."""
    pieces = IMAGE_TAG.split(text)[::2]
    return CutPrompt(pieces, list(islice(slots, len(pieces) - 1)))


def list_replacements(text: str, prompt: CutPrompt) -> list[dict[str, Any]]:
    """Where a prompt's tags and their slots stand, in the form of transformers' processors."""
    replacements = []
    shift = 0
    for tag, count in zip(IMAGE_TAG.finditer(text), prompt.slots, strict=True):
        start, replacement = tag.start() + shift, IMAGE_TOKEN * count
        end = start + len(replacement)
        replacements.append(
            {
                "type": "image",
                "span": tag.span(),
                "new_span": (start, end),
                "text": tag[0],
                "replacement": replacement,
            }
        )
        shift = end - tag.end()
    return replacements


AutoProcessor.register(Phi3VConfig, Phi3VProcessor)
