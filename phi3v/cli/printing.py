"""Output of the command line: streamed text or JSON lines, and progress on standard error.

Knows records and chunks; must not know the engine or files of results.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from phi3v.request import Chunk

# Progress messages before the first token, by phase; without "waiting", as nothing is queued here.
PHASES = {
    "preparing": "opening image {number} of {total}",
    "encoding": "reading image {number} of {total}",
    "prefill": "reading the question",
}
ERASE = "\r\033[K"


class Printer(Protocol):
    """Prints the answers of a run to standard output."""

    def begin(self, name: str) -> None:
        """Start the output of a page."""

    def show(self, text: str) -> None:
        """Update the page's text, given from its beginning."""

    def finish(self, record: dict[str, Any]) -> None:
        """End the output of a page with its record."""


class JsonPrinter:
    """Prints one line of JSON per page, when the page is done."""

    def begin(self, name: str) -> None:
        """Print nothing: a page is one whole line."""

    def show(self, text: str) -> None:
        """Print nothing until the record is there."""

    def finish(self, record: dict[str, Any]) -> None:
        """Print the record and flush, so that a pipe's reader gets it at once."""
        print(json.dumps(record, ensure_ascii=False), flush=True)


class TextPrinter:
    """Prints text as it streams, each page under its name if is_named.

    With `streams` False, for formats that are converted at the end, text is printed when a page is
    done.
    """

    def __init__(self, is_named: bool, streams: bool) -> None:
        self.is_named = is_named
        self.streams = streams
        self._shown = ""

    def begin(self, name: str) -> None:
        """Print the page's name."""
        self._shown = ""
        if self.is_named:
            print(f"== {name} ==", flush=True)

    def show(self, text: str) -> None:
        """Print the new text, without trailing whitespace, which may be the answer's end."""
        text = strip_control_characters(text).rstrip()
        if self.streams and text.startswith(self._shown):
            print(text[len(self._shown) :], end="", flush=True)
            self._shown = text

    def finish(self, record: dict[str, Any]) -> None:
        """Print the remaining text, then differences, uncertain words and notes."""
        text = strip_control_characters(record.get("text", ""))
        if text.startswith(self._shown):
            print(text[len(self._shown) :], flush=True)
        else:  # its repetition was cut, or cleaning removed text that was shown
            print(f"\n\n{text}" if record.get("finish_reason") != "loop" else "", flush=True)
        for found in record.get("differences", ()):
            print(describe_pixels(found), flush=True)
        for word in record.get("uncertain", ()):
            note(f"unsure ({word['probability']:.0%}): {word['word']}")
        if layer := record.get("text_layer"):
            note(f"This page has text of its own: {len(layer):,} characters; --json shows it.")
        for key in ("blank", "problem", "note", "error"):
            if key in record:
                note(record[key])
        if self.is_named:
            print(flush=True)


class SilentPrinter:
    """Prints nothing, because the results go to a file."""

    def begin(self, name: str) -> None:
        """Print nothing."""

    def show(self, text: str) -> None:
        """Print nothing."""

    def finish(self, record: dict[str, Any]) -> None:
        """Print nothing."""


@contextmanager
def phase_line() -> Iterator[Callable[[Chunk], None]]:
    """Return a function that shows a chunk's phase on standard error, if that is a terminal.

    The line is erased at the first text and when the context ends.
    """
    shown = ""

    def show(chunk: Chunk) -> None:
        nonlocal shown
        phase = "" if chunk.text else PHASES.get(chunk.phase, "")
        text = phase.format(number=chunk.number, total=chunk.total)
        if text != shown and sys.stderr.isatty():
            print(ERASE + text, end="", file=sys.stderr, flush=True)
            shown = text

    try:
        yield show
    finally:
        show(Chunk(""))


def describe_pixels(found: dict[str, Any]) -> str:
    """Return a pixel comparison's record as one line of text."""
    first, second = found["pictures"]
    boxes = "; ".join(
        f"{region['number']}: {', '.join(map(str, region['box']))}" for region in found["regions"]
    )
    regions = f"; changed (left, top, right, bottom): {boxes}" if boxes else ""
    turn = f", {found['turn']}" if "turn" in found else ""
    if "brightening" in found:
        turn += f", {second} is {'brighter' if found['brightening'] > 0 else 'darker'}"
    return f"[pixels of {first} and {second}: {found['verdict']}{turn}{regions}]"


def strip_control_characters(text: str) -> str:
    """Remove unprintable characters except newlines and tabs, so that none controls a terminal."""
    return "".join(letter for letter in text if letter in "\n\t" or letter.isprintable())


def note(text: str) -> None:
    """Print a line to standard error and flush."""
    print(text, file=sys.stderr, flush=True)
