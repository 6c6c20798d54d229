"""A checkpoint's processor from its JSON files alone: prompts, token ids and counts without torch.

Gives the ids of phi3v.model.Phi3VProcessor for the same files. Knows no pixels and no weights.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Tokenizer

from phi3v.model.crops import AUTO_NUM_CROPS, NUM_CROPS, is_enough
from phi3v.model.prompt_tokens import IMAGE_TOKEN, count_prompt_tokens, tokenize_prompt
from phi3v.request import RequestError

EMBEDDED: Final = "embedded"  # the name of the checkpoint that comes with the app

# What a published config.json leaves out: Phi3VConfig's own defaults.
MAX_POSITION_EMBEDDINGS: Final = 131072
EOS_TOKEN_ID: Final = 2


class FileTokenizer:
    """A tokenizer.json and its tokenizer_config.json, with what prompts need of a tokenizer.

    Its methods are those of transformers' PreTrainedTokenizerFast.
    """

    def __init__(self, tokenizer: Tokenizer, config: dict[str, Any]) -> None:
        self._tokenizer = tokenizer
        self.added_tokens_decoder: dict[int, AddedToken] = tokenizer.get_added_tokens_decoder()
        # As transformers renders templates; sandboxed, as they come with the checkpoint.
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        self._template = environment.from_string(config["chat_template"])
        self._special = {
            name: read_special_token(config.get(name)) for name in ("bos_token", "eos_token")
        }
        self.eos_token_id = tokenizer.token_to_id(self._special["eos_token"])
        unknown = tokenizer.token_to_id(read_special_token(config.get("unk_token")))
        self.unk_token_id = -1 if unknown is None else unknown

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, with its BOS."""
        return list(self._tokenizer.encode(text).ids)

    def decode(
        self,
        ids: Sequence[int],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool = False,
    ) -> str:
        """Return the text of token ids; spaces are never cleaned up."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens))

    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]:
        """Return the ids of tokens, that of the unknown token for those not in the vocabulary."""
        unknown = self.unk_token_id
        found = map(self._tokenizer.token_to_id, tokens)
        return [unknown if token is None else token for token in found]

    def apply_chat_template(
        self,
        messages: list[dict[str, str]],
        tokenize: bool = False,
        add_generation_prompt: bool = False,
    ) -> str:
        """Return messages in the checkpoint's chat format."""
        return self._template.render(
            messages=messages, add_generation_prompt=add_generation_prompt, **self._special
        )


@dataclass(frozen=True)
class CropRules:
    """How many crops an image may have; the fields of preprocessor_config.json."""

    num_crops: int = NUM_CROPS
    auto_num_crops: tuple[int, ...] = AUTO_NUM_CROPS
    auto_least_scale: float | None = None
    auto_least_side: int = 0

    def is_enough(self, sizes: list[tuple[int, int]], num_crops: int) -> bool:
        """Whether these sizes (width, height) are shown at auto_least_scale and auto_least_side."""
        return is_enough(sizes, num_crops, self.auto_least_scale, self.auto_least_side)


@dataclass(frozen=True)
class CheckpointProcessor:
    """What prompts and estimates need of a checkpoint; config is its config.json."""

    tokenizer: FileTokenizer
    image_processor: CropRules
    config: dict[str, Any]

    @cached_property
    def image_token_id(self) -> int:
        """The id that stands in every image slot."""
        return self.tokenizer.convert_tokens_to_ids([IMAGE_TOKEN])[0]

    @property
    def context_length(self) -> int:
        """The most tokens that prompt and answer may have together."""
        return int(self.config.get("max_position_embeddings", MAX_POSITION_EMBEDDINGS))

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of keys and values, 16 bits each, that one token takes in all layers."""
        heads = self.config["num_attention_heads"]
        width = self.config["hidden_size"] // heads * self.config.get("num_key_value_heads", heads)
        return int(2 * self.config["num_hidden_layers"] * width * 2)

    def stop_token_ids(self) -> list[int]:
        """Return the ids that end an answer: of the config, the tokenizer and the chat format."""
        return find_stop_ids(self.tokenizer, self.config.get("eos_token_id", EOS_TOKEN_ID))

    def tokenize(self, text: str, grids: list[tuple[int, int]]) -> list[int]:
        """Token ids of one prompt; grids are its tags' crop grids (rows, columns) in order."""
        return tokenize_prompt(text, grids, self.tokenizer.encode, self.image_token_id)

    def count_tokens(
        self, text: str, sizes: list[tuple[int, int]], num_crops: int
    ) -> tuple[int, int]:
        """How many tokens a prompt takes: (of text, of images); sizes are (width, height).

        Raises ValueError for tags or images that cannot be used.
        """
        return count_prompt_tokens(text, sizes, num_crops, self.tokenizer.encode)


def read_processor(folder: Path) -> CheckpointProcessor:
    """Return the processor of a folder's JSON files. Raises RequestError if they cannot be used."""
    try:
        config = read_json(folder / "config.json")
        of_tokenizer = read_json(folder / "tokenizer_config.json")
        crops = read_json(folder / "preprocessor_config.json")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        known = {name: crops[name] for name in CropRules.__dataclass_fields__ if name in crops}
        return CheckpointProcessor(
            FileTokenizer(tokenizer, of_tokenizer), CropRules(**known), config
        )
    except Exception as error:  # tokenizers raises Exception itself for a file that is none
        raise RequestError(
            "The files of {name} cannot be used ({error}): it needs config.json, tokenizer.json, "
            "tokenizer_config.json and preprocessor_config.json of a Phi-3-Vision checkpoint.",
            name=folder.name,
            error=error,
        ) from error


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file."""
    return dict(json.loads(file.read_text("utf-8")))


def read_special_token(entry: Any) -> str:
    """Return a special token of a tokenizer_config.json, which is a text or an object."""
    return str(entry["content"] if isinstance(entry, dict) else entry or "")


def find_stop_ids(tokenizer: Any, of_config: int | list[int]) -> list[int]:
    """Return the ids that end an answer: of the config, the tokenizer and the chat format."""
    ids = {tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(["<|end|>", "<|endoftext|>"])}
    return sorted(ids.union(of_config if isinstance(of_config, list) else [of_config]))
