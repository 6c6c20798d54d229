"""Sentences about pairs without the pictures: where the verdict is learnt.

One mark in some twenty tokens says whether both halves of a comparison are the same. From pictures
alone that was never learnt; hundreds of sentences cost as much as a few pictures and teach it
within minutes.

B sentences, T tokens.
"""

import random
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast

from training.canvas import Dice
from training.colours import COLOURS
from training.compare import QUESTIONS, change_letter, write_answer
from training.shapes import choose_kind, name_shape
from training.tokenizer import IGNORED
from training.words import choose_word

LENGTH = 88  # tokens; longer sentences are drawn anew
DIFFERENT = 0.6  # the share of pairs that differ


@dataclass(frozen=True)
class Sentences:
    """Questions and answers about pairs, the verdict's mark the only label."""

    token_ids: Tensor  # (B, T) int64
    labels: Tensor  # (B, T) int64, already shifted


def choose_texts(rng: random.Random) -> tuple[str, str]:
    """A word or two; a letter or a whole word changes, or nothing."""
    case = rng.choice(("upper", "lower", "title"))
    before = [choose_word(rng, case, False, wide=False) for _ in range(rng.choice((1, 1, 2)))]
    after = list(before)
    if rng.random() < DIFFERENT:
        index = rng.randrange(len(after))
        if rng.random() < 0.6:
            after[index] = change_letter(rng, after[index])
        else:
            after[index] = choose_word(rng, case, False, wide=False)
    return f'the text "{" ".join(before)}"', f'the text "{" ".join(after)}"'


def choose_shapes(rng: random.Random) -> tuple[str, str]:
    """One or two shapes; a colour or a kind changes, or nothing."""
    before = [(rng.choice(list(COLOURS)), choose_kind(rng)) for _ in range(rng.choice((1, 1, 2)))]
    after = list(before)
    if rng.random() < DIFFERENT:
        index = rng.randrange(len(after))
        colour, kind = after[index]
        if rng.random() < 0.5:
            after[index] = (rng.choice(list(COLOURS)), kind)
        else:
            after[index] = (colour, choose_kind(rng))
    first, second = (" and ".join(name_shape(*s) for s in shapes) for shapes in (before, after))
    return first, second


def write_sentence(rng: random.Random, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], int]:
    """The token ids of a question and its answer, and the verdict's position in them."""
    while True:
        names = choose_texts(rng) if rng.random() < 0.65 else choose_shapes(rng)
        question = f"<|user|>\n{rng.choice(QUESTIONS)}<|end|>\n<|assistant|>\n"
        answer = write_answer(*names)
        ids = tokenizer(f"{question}{answer}<|end|>\n").input_ids
        if len(ids) <= LENGTH:
            mark = tokenizer.convert_tokens_to_ids(choose_mark(answer))
            return ids, find_last(ids, mark)


def choose_mark(answer: str) -> str:
    """The verdict: the colon before "identical", or the full stop where nothing follows."""
    return ":" if answer.endswith("identical.") else "."


def find_last(ids: list[int], wanted: int) -> int:
    """The last position of a token."""
    return max(position for position, token in enumerate(ids) if token == wanted)


class Drills(Dataset):
    """Batches of sentences; each a pure function of (seed, number)."""

    def __init__(self, seed: int, batches: int, size: int, tokenizer: PreTrainedTokenizerFast):
        self.seed, self.batches, self.size, self.tokenizer = seed, batches, size, tokenizer
        self.pad = tokenizer.convert_tokens_to_ids("<|endoftext|>")

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, number: int) -> Sentences:
        rng = Dice(f"{self.seed}:drills:{number}", 1.0)
        token_ids = torch.full((self.size, LENGTH), self.pad)
        labels = torch.full((self.size, LENGTH), IGNORED)
        for row in range(self.size):
            ids, verdict = write_sentence(rng, self.tokenizer)
            token_ids[row, : len(ids)] = torch.tensor(ids)
            labels[row, verdict - 1] = ids[verdict]
        return Sentences(token_ids, labels)
