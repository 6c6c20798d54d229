"""Encodes samples as token ids and labels, chunk by chunk as the app's processor does."""

from dataclasses import dataclass
from itertools import pairwise

from transformers import PreTrainedTokenizerFast

from training.canvas import Sample
from training.layouts import SINGLE, Layout
from training.pointing import Target, find_slots, trace_answer
from training.tokenizer import IGNORED

IMAGE_SLOT = -1  # placeholder of one image token in a row of token ids


@dataclass(frozen=True)
class Encoded:
    """A sample as token ids, one label for each, and the marks that labels refer to."""

    ids: list[int]  # IMAGE_SLOT per image token
    labels: list[int]
    targets: list[tuple[int, Target]]  # by the label's position


def point(encoded: Encoded, sample: Sample, layout: Layout, top: int) -> list[tuple[int, int]]:
    """Return pairs of a label's position and the position of an image token that shows it."""
    slots = [position for position, token in enumerate(encoded.ids) if token == IMAGE_SLOT]
    pairs = []
    for position, target in encoded.targets:
        size = sample.pictures[target.picture].image.size
        before = target.picture * layout.image_tokens
        shown = find_slots(target.marks, size, layout, top)
        pairs += [(position, slots[before + slot]) for slot in shown]
    return pairs


class PromptEncoder:
    """Encodes questions and answers, and labels the answers' tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast):
        self.tokenizer = tokenizer
        self.assistant = tokenizer.convert_tokens_to_ids("<|assistant|>")
        self.end = tokenizer.convert_tokens_to_ids("<|end|>")

    def encode(self, sample: Sample, image_tokens: int = SINGLE.image_tokens) -> Encoded:
        """Encode all turns of a sample."""
        count = len(sample.pictures)
        chunks = ["<|user|>\n", *["\n"] * (count - 1)]
        ids: list[int] = []
        for chunk in chunks:
            ids += self.tokenizer(chunk).input_ids
            ids += [IMAGE_SLOT] * image_tokens
        turns = ((sample.question, sample.answer), *sample.more)
        text, found = "\n", []
        for number, (question, answer) in enumerate(turns):
            text += "<|user|>\n" if number else ""
            text += f"{question}<|end|>\n<|assistant|>\n"
            found += [(len(text), target) for target in trace_answer(answer, sample.pictures)]
            text += f"{answer}<|end|>\n"
        encoding = self.tokenizer(text)
        targets = []
        for begin, target in found:
            tokens = (encoding.char_to_token(begin + i) for i in range(target.start, target.end))
            targets += [(len(ids) + token - 1, target) for token in sorted({*tokens} - {None})]
        ids += encoding.input_ids
        return Encoded(ids, self.label(ids), targets)

    def label(self, ids: list[int]) -> list[int]:
        """Return the token to predict at each position, IGNORED outside answers."""
        labels, is_answer = [], False
        for this, following in pairwise(ids):
            is_answer = this == self.assistant or (is_answer and this != self.end)
            labels.append(following if is_answer else IGNORED)
        return [*labels, IGNORED]
