"""An answer ends before the first of its stop strings, in whatever pieces its text comes."""

import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest

from phi3v.conversation.stop_strings import end_at_strings
from phi3v.request import Chunk, Statistics, Token


def write(pieces: Sequence[str], stop: threading.Event) -> Iterator[Chunk]:
    """Write the pieces as an engine does: one token each, until `stop` or the end."""
    tokens = []
    for number, piece in enumerate(pieces):
        if stop.is_set():
            break
        tokens.append(Token(number, piece, 0.5))
        yield Chunk(piece)
        yield Chunk("", phase="answering")
    reason = "stopped" if stop.is_set() else "end"
    yield Chunk("", Statistics(9, 0, len(tokens), 0.1, 9.0, reason), tokens=tuple(tokens))


def run(pieces: Sequence[str], strings: Sequence[str]) -> tuple[list[str], Chunk, bool]:
    """Return the texts, the last chunk and whether the engine was stopped."""
    stop = threading.Event()
    chunks = list(end_at_strings(write(pieces, stop), stop, strings))
    return [chunk.text for chunk in chunks if chunk.text], chunks[-1], stop.is_set()


TEXT = "one two three four"


@pytest.mark.parametrize("strings", [["three"], [" three f"], ["four", "three"], ["e t", "three"]])
def test_text_is_the_same_in_whatever_pieces_it_comes(strings: list[str]) -> None:
    results = set()
    for size in range(1, len(TEXT)):
        cuts = [*range(0, len(TEXT), size), len(TEXT)]
        texts, last, is_stopped = run([TEXT[a:b] for a, b in pairwise(cuts)], strings)
        results.add("".join(texts))
        assert is_stopped
        assert last.statistics.finish_reason == "end"
    (text,) = results
    assert not any(string in text for string in strings)
    assert TEXT.startswith(text)


def test_the_string_that_is_complete_first_ends_it() -> None:
    assert run(["abcd"], ["bcd", "c"])[0] == ["ab"]


def test_of_two_that_end_together_the_longer_is_left_out() -> None:
    assert run(["a", "b", "c"], ["c", "abc"])[0] == []


def test_the_engine_is_stopped_at_the_string() -> None:
    texts, last, _ = run(["one", " two", " three", " four"], [" two"])
    assert texts == ["one"]
    assert last.statistics.new_tokens == 2


def test_tokens_are_those_of_the_text_and_their_number_includes_the_string() -> None:
    _, last, _ = run(["one", " two", " three"], ["wo th"])
    assert [token.text for token in last.tokens] == ["one", " t"]
    assert last.statistics.new_tokens == 3


def test_the_beginning_of_a_string_is_held_back_and_then_sent() -> None:
    assert run(["one <", "b", "r>"], ["<br/>"])[0] == ["one ", "<br>"]


def test_an_answer_that_ends_in_the_middle_of_a_string_is_whole() -> None:
    texts, last, is_stopped = run(["one", " tw"], [" two"])
    assert "".join(texts) == "one tw"
    assert not is_stopped
    assert last.statistics.new_tokens == 2


def test_leaving_closes_the_engine_s_iterator() -> None:
    stop = threading.Event()
    chunks = write(["one", "two"], stop)
    ended = end_at_strings(chunks, stop, ["x"])
    next(ended)
    ended.close()
    assert list(chunks) == []
