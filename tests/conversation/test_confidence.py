"""Words are marked uncertain by the probabilities of their tokens."""

import pytest
import torch

from phi3v.conversation.confidence import rate_words, uncertain_words
from phi3v.inference.token_probabilities import TokenProbabilities
from phi3v.request import Token


def make_tokens(*pieces: tuple[str, float | None]) -> list[Token]:
    return [Token(number, text, value) for number, (text, value) in enumerate(pieces)]


def test_a_word_has_the_probability_of_its_least_probable_token() -> None:
    tokens = make_tokens(("The", 0.9), (" quick", 0.8), ("est", 0.3), (" fox", 0.99))
    (word,) = uncertain_words(tokens, 0.5)
    assert (word.text, word.start, word.end, word.probability) == ("quickest", 4, 12, 0.3)


def test_a_token_over_two_words_counts_for_both() -> None:
    words = rate_words(make_tokens(("a b", 0.2), ("c", 0.9)))
    assert [(word.text, word.probability) for word in words] == [("a", 0.2), ("bc", 0.2)]


def test_a_character_of_several_tokens_has_the_lowest_probability() -> None:
    words = rate_words(make_tokens(("", 0.1), ("", 0.9), ("漢", 0.8), (" x", 0.7)))
    assert [(word.text, word.probability) for word in words] == [("漢", 0.1), ("x", 0.7)]


def test_more_words_are_uncertain_at_a_higher_threshold() -> None:
    tokens = make_tokens(("a", 0.9), (" b", 0.6), (" c", 0.3))
    counts = [len(uncertain_words(tokens, threshold)) for threshold in (0.0, 0.5, 0.7, 1.0)]
    assert counts == [0, 1, 2, 3]


def test_words_have_their_offsets_in_the_text_whatever_the_spaces() -> None:
    tokens = make_tokens(("\n  one", 0.1), ("\n\n", 0.9), ("two ", 0.1))
    text = "".join(token.text for token in tokens)
    words = uncertain_words(tokens)
    assert (
        [text[word.start : word.end] for word in words]
        == ["one", "two"]
        == [word.text for word in words]
    )


@pytest.mark.parametrize("tokens", [[], make_tokens(("  ", 0.1)), make_tokens(("", 0.1))])
def test_without_words_nothing_is_uncertain(tokens) -> None:
    assert uncertain_words(tokens) == ()


def test_without_probabilities_nothing_is_uncertain() -> None:
    assert uncertain_words(make_tokens(("a", None), (" b", None)), 1.0) == ()


def test_a_probability_is_the_softmax_of_the_scores_which_stay_as_they_are() -> None:
    watcher = TokenProbabilities()
    scores = torch.tensor([[0.0, 1.0, 2.0]])
    assert watcher(torch.tensor([[5]]), scores) is scores
    watcher.record(1)
    assert watcher.values == pytest.approx([float(scores.softmax(-1)[0, 1])])
