"""Text-only questions and answers, for what an answer can take from its own words.

One token in some twenty says whether both halves of a comparison are the same; one or two words of
an answer repeat the question, or follow from the answer so far: how many things it has named. From
pictures alone the model never learnt the first and hardly the others; hundreds of sentences cost as
much as a few pictures and teach it within minutes.

B sentences, T tokens.
"""

import random
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast

from training import objects
from training.canvas import Dice
from training.colours import COLOURS
from training.compare import QUESTIONS, change_letter, write_answer
from training.shapes import choose_kind, name_shape
from training.tokenizer import IGNORED
from training.words import choose_word

LENGTH = 88  # tokens; longer sentences are redrawn
DIFFERENT = 0.6  # the share of pairs that differ
VERDICTS = 0.4  # the share of sentences about pairs
ORDERS = 0.5  # the share of the others that count what the answer has named


@dataclass(frozen=True)
class Sentences:
    """Tokenized questions and answers; only tokens that follow from the words are labelled."""

    token_ids: Tensor  # (B, T) int64
    labels: Tensor  # (B, T) int64, already shifted


def choose_texts(rng: random.Random) -> tuple[str, str]:
    """Return names of two texts that differ in a letter, a whole word or nothing."""
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
    """Return names of one or two shapes, twice; a colour, a kind or nothing differs."""
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


def ask_by_name(rng: random.Random) -> tuple[str, str, str]:
    """Return a question about one thing, its answer up to the thing's name, and the name."""
    colour, kind = rng.choice(COLOURS), choose_kind(rng)
    label = choose_word(rng, rng.choice(("title", "title", "upper")), False, wide=False)
    if rng.random() < 0.4:
        label = str(rng.randint(1990, 2035))
    return rng.choice(
        (
            (f"Where is the {colour} {kind}?", "The", f" {colour} {kind}"),
            (f"Where is the {kind}?", "The", f" {kind}"),
            (f"What colour is the {kind}?", "The", f" {kind}"),
            (f"Which shape is {colour}?", f"The {kind} is", f" {colour}"),
            (
                f"What is the value {rng.choice(('of', 'for'))} {label}?",
                "The value of",
                f" {label}",
            ),
            (f"How much is {label}?", "The value of", f" {label}"),
        )
    )


def ask_by_order(rng: random.Random) -> tuple[str, str, str]:
    """Return a question to count, its answer up to the count, and the count."""
    kind, any_kind = choose_kind(rng), rng.random() < 0.6
    names = [
        name_shape(rng.choice(list(COLOURS)), choose_kind(rng) if any_kind else kind)
        for _ in range(rng.randint(1, 5))
    ]
    question = rng.choice(objects.COUNTING) if any_kind else objects.ask_number(rng, kind)
    parts = sorted(rng.sample(range(len(objects.PLACES)), len(names)))
    places = [objects.PLACES[part] for part in parts]
    sentence = objects.count_things(names, places, "shape" if any_kind else kind)
    answer, colon, number = sentence.partition(":")
    return question, answer, colon + number


def write_pair(rng: random.Random, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], range]:
    """Return the token ids of a comparison, and the position of its verdict."""
    names = choose_texts(rng) if rng.random() < 0.65 else choose_shapes(rng)
    answer = write_answer(*names)
    ids = tokenizer(f"{write_prompt(rng.choice(QUESTIONS))}{answer}<|end|>\n").input_ids
    verdict = find_last(ids, tokenizer.convert_tokens_to_ids(choose_mark(answer)))
    return ids, range(verdict, verdict + 1)


def write_name(rng: random.Random, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], range]:
    """Return a question with its answer, and the positions of what follows from the words."""
    question, answer, name = (ask_by_order if rng.random() < ORDERS else ask_by_name)(rng)
    before = len(tokenizer(f"{write_prompt(question)}{answer}").input_ids)
    ids = tokenizer(f"{write_prompt(question)}{answer}{name}").input_ids
    return ids, range(before, len(ids))


def write_prompt(question: str) -> str:
    """Render a question in the chat format, without its pictures."""
    return f"<|user|>\n{question}<|end|>\n<|assistant|>\n"


def write_sentence(
    rng: random.Random, tokenizer: PreTrainedTokenizerFast
) -> tuple[list[int], range]:
    """Return the token ids of a question and its answer, and the positions to label."""
    while True:
        write = write_pair if rng.random() < VERDICTS else write_name
        ids, labelled = write(rng, tokenizer)
        if len(ids) <= LENGTH:
            return ids, labelled


def choose_mark(answer: str) -> str:
    """Return the verdict's token: the colon before "identical", or the final full stop."""
    return ":" if answer.endswith("identical.") else "."


def find_last(ids: list[int], wanted: int) -> int:
    """Return the last position of a token."""
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
            ids, labelled = write_sentence(rng, self.tokenizer)
            token_ids[row, : len(ids)] = torch.tensor(ids)
            for position in labelled:
                labels[row, position - 1] = ids[position]
        return Sentences(token_ids, labels)
