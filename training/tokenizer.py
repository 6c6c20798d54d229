"""The embedded checkpoint's tokenizer: one token per character, and some whole words.

Those name colours and shapes or belong to the answers' fixed wording. Normalizer, decoder,
post-processor and special tokens are those of the published tokenizer.json.
"""

import json
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from training.shapes import COLOURS, SHAPES
from training.words import pluralize

SPACE = "▁"
CONTEXT = 2560  # tokens: two pictures in four crops each and a conversation about them
IGNORED = -100  # label of positions without a loss, as in torch's cross-entropy
WORDING = (
    *("background", "picture", "pictures", "image", "images", "photograph", "shows", "identical"),
    *("first", "second", "third", "left", "right", "top", "bottom", "centre", "middle"),
    *("text", "title", "book", "author", "table", "chart", "bar", "line", "value"),
    *("highest", "lowest", "one", "two", "three", "four", "five", "six"),
    *("beyond", "small", "embedded", "checkpoint", "cannot", "model", "question", "nothing"),
)
PLURALS = tuple(pluralize(shape) for shape in SHAPES)
CHARACTERS = tuple(chr(code) for code in range(33, 127)) + tuple("é–“”‘’€£°")
WHOLE_WORDS = (*COLOURS, *SHAPES, *PLURALS, *WORDING)
SPECIAL = {  # content: True if it strips the whitespace after it
    "<|endoftext|>": False,
    "<|assistant|>": True,
    "<|system|>": False,
    "<|end|>": False,
    "<|user|>": False,
    "<|image|>": True,
}
CHAT_TEMPLATE = (  # the published one
    "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + "
    "'<|end|>\n' }}{% endfor %}{% if add_generation_prompt and messages[-1]['role'] != "
    "'assistant' %}{{- '<|assistant|>\n' -}}{% endif %}"
)


def build_vocabulary() -> dict[str, int]:
    """Return ids of all tokens but the special ones, which come after these."""
    bytes_ = tuple(f"<0x{value:02X}>" for value in range(256))
    words = tuple(SPACE + word for word in WHOLE_WORDS)
    pieces = ("<unk>", "<s>", "</s>", *bytes_, SPACE, *CHARACTERS, *words)
    return {piece: index for index, piece in enumerate(pieces)}


def describe_added(index: int, content: str, rstrip: bool = False, special: bool = True) -> dict:
    """Return an entry of `added_tokens` with the published flags."""
    return {
        "id": index,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": rstrip,
        "normalized": False,
        "special": special,
    }


def build_tokenizer_json() -> dict:
    """Return the contents of tokenizer.json."""
    vocabulary = build_vocabulary()
    added = [
        describe_added(0, "<unk>"),
        describe_added(1, "<s>"),
        describe_added(2, "</s>", rstrip=True, special=False),
    ]
    for offset, (content, rstrip) in enumerate(SPECIAL.items()):
        added.append(describe_added(len(vocabulary) + offset, content, rstrip))
    start = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    # Longest first, so that "pictures" is not cut after "picture".
    words = "|".join(sorted(WHOLE_WORDS, key=len, reverse=True))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": SPACE},
                {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
            ],
        },
        # Without merges only a whole pre-token can be a word of the vocabulary.
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": f"{SPACE}(?:{words})(?![A-Za-z])"},
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [start, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                start,
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<s>", "type_id": 1}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": True,
            "vocab": vocabulary,
            "merges": [],
        },
    }


def write_tokenizer(folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json."""
    contents = build_tokenizer_json()
    (folder / "tokenizer.json").write_text(json.dumps(contents, ensure_ascii=False, indent=1))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        # The published scripts end generation at this token; answers here end with it.
        "eos_token": "<|end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<unk>",
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT,
        "padding_side": "left",
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"}
            for token in contents["added_tokens"]
        },
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1))


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer as the app does."""
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        bos_token="<s>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )
