"""How sure the network was of what it wrote: the probability of every token, and of words.

Costs one softmax a token, and only where a request asks for it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from transformers import LogitsProcessor

from phi3v.request import Token

# Below one in two the network thought something else at least as likely.
DEFAULT_THRESHOLD: Final = 0.5


@dataclass(frozen=True)
class Word:
    """A word of an answer, text[start:end], and the probability of its least probable token."""

    text: str
    start: int
    end: int
    probability: float


class ChosenProbabilities(LogitsProcessor):
    """Keeps the probability of every chosen token, 0 to 1, as the network gave it.

    It changes no score, and stands before temperature and top_p: what they make of the scores says
    how tokens are drawn, not how sure the network is.
    """

    def __init__(self) -> None:
        self.values: list[float] = []
        self._scores: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Remember the scores (1, vocabulary) from which the next token will be chosen."""
        self._scores = scores
        return scores

    def note(self, token: int) -> None:
        """The token that was chosen from the last scores."""
        if self._scores is not None:
            self.values.append(float(self._scores[0].float().softmax(dim=-1)[token]))


def rate_words(tokens: Sequence[Token]) -> tuple[Word, ...]:
    """All words of an answer's tokens, by spaces, with their least probable token's probability.

    start and end count the characters of the tokens' joined texts. Tokens without a probability
    count as sure.
    """
    text = "".join(token.text for token in tokens)
    spans: list[tuple[int, int, float]] = []
    at = 0
    lowest = 1.0  # of the tokens of a character that is not whole yet
    for token in tokens:
        lowest = min(lowest, 1.0 if token.probability is None else token.probability)
        if token.text:
            spans.append((at, at + len(token.text), lowest))
            at, lowest = at + len(token.text), 1.0
    words = []
    first = 0
    for found in re.finditer(r"\S+", text):
        while spans[first][1] <= found.start():
            first += 1
        last, lowest = first, 1.0
        while last < len(spans) and spans[last][0] < found.end():
            lowest = min(lowest, spans[last][2])
            last += 1
        words.append(Word(found[0], found.start(), found.end(), lowest))
    return tuple(words)


def uncertain_words(
    tokens: Sequence[Token], threshold: float = DEFAULT_THRESHOLD
) -> tuple[Word, ...]:
    """The words of which some token was less probable than a threshold from 0 to 1."""
    return tuple(word for word in rate_words(tokens) if word.probability < threshold)
