"""Probabilities of tokens, and the words they make uncertain."""

import pytest
import torch

from phi3v.conversation.confidence import rate_words, uncertain_words
from phi3v.inference.token_probabilities import TokenProbabilities
from phi3v.request import Token


def spell(*pieces: tuple[str, float | None]) -> list[Token]:
    return [Token(number, text, value) for number, (text, value) in enumerate(pieces)]


def test_a_word_is_as_sure_as_its_least_probable_token() -> None:
    tokens = spell(("The", 0.9), (" quick", 0.8), ("est", 0.3), (" fox", 0.99))
    (word,) = uncertain_words(tokens, 0.5)
    assert (word.text, word.start, word.end, word.probability) == ("quickest", 4, 12, 0.3)


def test_a_token_over_two_words_counts_for_both() -> None:
    words = rate_words(spell(("a b", 0.2), ("c", 0.9)))
    assert [(word.text, word.probability) for word in words] == [("a", 0.2), ("bc", 0.2)]


def test_a_character_of_several_tokens_is_as_sure_as_the_least() -> None:
    words = rate_words(spell(("", 0.1), ("", 0.9), ("漢", 0.8), (" x", 0.7)))
    assert [(word.text, word.probability) for word in words] == [("漢", 0.1), ("x", 0.7)]


def test_the_threshold_can_be_moved() -> None:
    tokens = spell(("a", 0.9), (" b", 0.6), (" c", 0.3))
    counts = [len(uncertain_words(tokens, threshold)) for threshold in (0.0, 0.5, 0.7, 1.0)]
    assert counts == [0, 1, 2, 3]


def test_places_are_those_in_the_text_whatever_the_spaces() -> None:
    tokens = spell(("\n  one", 0.1), ("\n\n", 0.9), ("two ", 0.1))
    text = "".join(token.text for token in tokens)
    words = uncertain_words(tokens)
    assert (
        [text[word.start : word.end] for word in words]
        == ["one", "two"]
        == [word.text for word in words]
    )


@pytest.mark.parametrize("tokens", [[], spell(("  ", 0.1)), spell(("", 0.1))])
def test_without_words_there_is_nothing_to_mark(tokens) -> None:
    assert uncertain_words(tokens) == ()


def test_without_probabilities_all_is_sure() -> None:
    assert uncertain_words(spell(("a", None), (" b", None)), 1.0) == ()


def test_a_probability_is_the_softmax_of_the_scores_which_stay_as_they_are() -> None:
    watcher = TokenProbabilities()
    scores = torch.tensor([[0.0, 1.0, 2.0]])
    assert watcher(torch.tensor([[5]]), scores) is scores
    watcher.record(1)
    assert watcher.values == pytest.approx([float(scores.softmax(-1)[0, 1])])
