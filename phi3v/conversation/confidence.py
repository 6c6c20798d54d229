"""Confidence of an answer's words, from the probabilities of its tokens."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from phi3v.request import Token

# Below one half, the model may have found another token more likely.
DEFAULT_THRESHOLD: Final = 0.5


@dataclass(frozen=True)
class Word:
    """A word, text[start:end], with the probability of its least probable token, 0 to 1."""

    text: str
    start: int
    end: int
    probability: float


def rate_words(tokens: Sequence[Token]) -> tuple[Word, ...]:
    """Split an answer's tokens into words at whitespace, with their confidence.

    start and end are offsets in the tokens' joined texts. A token without a probability counts
    as 1.
    """
    text = "".join(token.text for token in tokens)
    spans: list[tuple[int, int, float]] = []
    at = 0
    lowest = 1.0  # of the tokens of an incomplete character
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
    """Return the words that have a token less probable than `threshold`, 0 to 1."""
    return tuple(word for word in rate_words(tokens) if word.probability < threshold)
