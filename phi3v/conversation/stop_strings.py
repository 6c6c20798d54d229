"""Ends an answer where its text has one of the given strings, and cuts it there.

Knows text and chunks; the engine behind them knows nothing of it.
"""

import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from phi3v.request import Chunk, Token


@dataclass(frozen=True)
class Span:
    """Where a string was found: text[start:end]."""

    start: int
    end: int


def end_at_strings(
    chunks: Generator[Chunk, None, None], stop: threading.Event, strings: Sequence[str]
) -> Generator[Chunk, None, None]:
    """Yield an answer's chunks up to the first of the strings, which is left out.

    Sets `stop`, the event that ends the answer, once one is found. Text that may be the beginning
    of one is held back until it is known. The last chunk's finish_reason is then "end", its
    new_tokens are those decoded until the string was complete, and its tokens those of the text;
    a chunk's written tokens may run ahead of its text.
    """
    text, sent, found = "", 0, None
    with closing(chunks):
        for chunk in chunks:
            searched = len(text)
            text += chunk.text
            if found is None:
                found = find_first(text, strings, searched)
                if found is not None:
                    stop.set()
            if found is not None:
                end = found.start
            elif chunk.statistics is not None:
                end = len(text)
            else:
                end = len(text) - count_held(text, strings)
            chunk = replace(chunk, text=text[sent:end])
            sent = max(sent, end)
            yield cut_chunk(chunk, found) if found is not None else chunk


def find_first(text: str, strings: Sequence[str], searched: int = 0) -> Span | None:
    """Return the string that is complete first; of several, the longest.

    The first `searched` characters have none. So it does not matter in which pieces text arrives.
    """
    spans = []
    for string in strings:
        start = text.find(string, max(0, searched - len(string) + 1))
        if start >= 0:
            spans.append(Span(start, start + len(string)))
    return min(spans, key=lambda span: (span.end, span.start), default=None)


def count_held(text: str, strings: Sequence[str]) -> int:
    """Return the length of the longest end of the text with which one of the strings begins."""
    longest = min(len(text), max(map(len, strings), default=0))
    for length in range(longest, 0, -1):
        if any(string.startswith(text[-length:]) for string in strings):
            return length
    return 0


def cut_chunk(chunk: Chunk, found: Span) -> Chunk:
    """Return the last chunk of an answer with the figures of the text before the string."""
    if chunk.statistics is None:
        return chunk
    statistics = replace(chunk.statistics, finish_reason="end")
    if chunk.tokens:
        statistics = replace(statistics, new_tokens=count_tokens(chunk.tokens, found.end))
    return replace(chunk, statistics=statistics, tokens=cut_tokens(chunk.tokens, found.start))


def count_tokens(tokens: Sequence[Token], length: int) -> int:
    """Return the number of tokens that complete the first `length` characters."""
    at = 0
    for number, token in enumerate(tokens, 1):
        at += len(token.text)
        if at >= length:
            return number
    return len(tokens)


def cut_tokens(tokens: Sequence[Token], length: int) -> tuple[Token, ...]:
    """Return the tokens of the first `length` characters; the last one's text may be cut."""
    kept: list[Token] = []
    at = 0
    for token in tokens:
        if at >= length:
            break
        kept.append(replace(token, text=token.text[: length - at]))
        at += len(token.text)
    return tuple(kept)
