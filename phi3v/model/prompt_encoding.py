"""Token ids of prompts whose images are runs of slots, and what a tokenizer returns beside them.

The text between images is tokenized piece by piece, each with its own BOS, as the published
processor does it and as the model was trained. So no tokenizer can truncate or pad the whole; that
is done here, by the tokenizer's own rules. Knows nothing of pixels.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.processing_utils import TextKwargs
from transformers.tokenization_utils_base import PaddingStrategy, TruncationStrategy

from .prompt_tokens import IMAGE_TOKEN

# What a tokenizer can do with whole texts alone.
UNSUPPORTED = (
    "text_pair",
    "text_target",
    "text_pair_target",
    "is_split_into_words",
    "return_overflowing_tokens",
    "stride",
    "sanitize_control_tokens",
)
# What goes into an image's slots, beside the image token's id.
SLOT_VALUES = {"attention_mask": 1, "token_type_ids": 0, "special_tokens_mask": 0}

Offsets = list[tuple[int, int]]
Row = dict[str, list[Any]]  # a tokenizer's outputs for one prompt, by name


@dataclass(frozen=True)
class CutPrompt:
    """A prompt's text between its images, one piece more than images, and each image's slots."""

    pieces: list[str]
    slots: list[int]


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase, prompts: list[CutPrompt], text_kwargs: TextKwargs
) -> dict[str, list[Any]]:
    """What the tokenizer would return for the prompts with the image token in every slot, as lists.

    Offsets count in that text. Raises ValueError for keywords of UNSUPPORTED, and where truncation
    would take slots from an image.
    """
    options: dict[str, Any] = {k: v for k, v in text_kwargs.items() if v is not None}
    for name in UNSUPPORTED:
        if options.get(name):
            raise ValueError(
                f"{name}={options[name]!r} is not supported: prompts with images are tokenized "
                "piece by piece. Call processor.tokenizer for text alone."
            )
    names = ("padding", "truncation", "max_length", "pad_to_multiple_of", "verbose")
    chosen = {name: options[name] for name in names if name in options}
    padding, truncation, max_length, _ = tokenizer._get_padding_truncation_strategies(**chosen)
    if truncation == TruncationStrategy.ONLY_SECOND:
        raise ValueError("truncation='only_second' needs pairs of texts; use truncation=True.")
    rows = encode_pieces(tokenizer, prompts, options)
    if truncation == TruncationStrategy.DO_NOT_TRUNCATE or max_length is None:
        for row in rows:
            tokenizer._eventual_warn_about_too_long_sequence(
                row["input_ids"], None, options.get("verbose", True)
            )
    else:
        rows = [truncate(row, max_length, tokenizer) for row in rows]
    return pad_rows(tokenizer, rows, padding, max_length, options)


def encode_pieces(
    tokenizer: PreTrainedTokenizerBase, prompts: list[CutPrompt], options: dict[str, Any]
) -> list[Row]:
    """Each prompt's row, neither truncated nor padded."""
    encoded = tokenizer(
        [piece for prompt in prompts for piece in prompt.pieces],
        add_special_tokens=options.get("add_special_tokens", True),
        return_attention_mask=options.get("return_attention_mask", True),
        return_token_type_ids=options.get("return_token_type_ids", False),
        return_special_tokens_mask=True,
        return_offsets_mapping=options.get("return_offsets_mapping", False),
        verbose=False,  # of a piece's length; the whole prompt's is what counts
    )
    values = {**SLOT_VALUES, "input_ids": tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)}
    columns = {name: iter(column) for name, column in encoded.items()}
    rows = []
    for prompt in prompts:
        row: Row = {}
        for name, column in columns.items():
            pieces = list(islice(column, len(prompt.pieces)))
            if name == "offset_mapping":
                row[name] = join_offsets(prompt, pieces)
            else:
                row[name] = join_pieces(prompt, pieces, values[name])
        rows.append(row)
    return rows


def join_pieces(prompt: CutPrompt, pieces: list[list[int]], slot_value: int) -> list[int]:
    """The pieces' values with each image's slots between them."""
    joined = list(pieces[0])
    for piece, count in zip(pieces[1:], prompt.slots, strict=True):
        joined += [slot_value] * count
        joined += piece
    return joined


def join_offsets(prompt: CutPrompt, pieces: list[Offsets]) -> Offsets:
    """Offsets in the whole text; what stands for no text, as BOS, keeps (0, 0)."""
    joined: Offsets = []
    start, width = 0, len(IMAGE_TOKEN)
    for text, offsets, count in zip(prompt.pieces, pieces, [*prompt.slots, 0], strict=True):
        joined += [(start + a, start + b) if b > a else (0, 0) for a, b in offsets]
        start += len(text)
        joined += [(start + width * slot, start + width * (slot + 1)) for slot in range(count)]
        start += width * count
    return joined


def truncate(row: Row, max_length: int, tokenizer: PreTrainedTokenizerBase) -> Row:
    """The first or last max_length tokens, by the tokenizer's truncation_side; BOS stays.

    Raises ValueError if an image would lose slots: its features could not be placed any more.
    """
    length = len(row["input_ids"])
    if length <= max_length:
        return row
    first = row["special_tokens_mask"][0] if tokenizer.truncation_side == "left" else max_length
    rest = length - (max_length - first)
    cut = {name: values[:first] + values[rest:] for name, values in row.items()}
    slot = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    slots = row["input_ids"].count(slot)
    if cut["input_ids"].count(slot) != slots:
        raise ValueError(
            f"The prompt has {length} tokens, {slots} of them its images', and truncation to "
            f"max_length {max_length} would cut into an image. Raise max_length, lower num_crops "
            "or shorten the text."
        )
    return cut


def pad_rows(
    tokenizer: PreTrainedTokenizerBase,
    rows: list[Row],
    padding: PaddingStrategy,
    max_length: int | None,
    options: dict[str, Any],
) -> dict[str, list[Any]]:
    """The rows as columns, padded by the tokenizer, without what was not asked for."""
    hidden = {"offset_mapping"}  # the tokenizer cannot pad it
    if not options.get("return_special_tokens_mask"):
        hidden.add("special_tokens_mask")
    side = options.get("padding_side", tokenizer.padding_side)
    padded = tokenizer.pad(
        {name: [row[name] for row in rows] for name in rows[0] if name not in hidden},
        padding=padding,
        max_length=max_length,
        pad_to_multiple_of=options.get("pad_to_multiple_of"),
        padding_side=side,
        return_attention_mask=options.get("return_attention_mask", True),
        verbose=options.get("verbose", True),
    )
    columns: dict[str, list[Any]] = dict(padded)
    lengths = [len(ids) for ids in columns["input_ids"]]
    if options.get("return_offsets_mapping"):
        columns["offset_mapping"] = [
            pad_offsets(row["offset_mapping"], length, side)
            for row, length in zip(rows, lengths, strict=True)
        ]
    if options.get("return_length"):
        columns["length"] = lengths
    return columns


def pad_offsets(offsets: Offsets, length: int, side: str) -> Offsets:
    """Offsets padded to the length with those of no text."""
    empty = [(0, 0)] * (length - len(offsets))
    return empty + offsets if side == "left" else offsets + empty
