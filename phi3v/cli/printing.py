"""What people and programs see: text that streams, lines of JSON, progress on standard error."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from phi3v.request import Chunk

# What is said on a terminal before the first word; a request waits for nobody else here.
PHASES = {
    "preparing": "opening image {number} of {total}",
    "encoding": "reading image {number} of {total}",
    "prefill": "reading the question",
}
ERASE = "\r\033[K"


class Printer(Protocol):
    """Where the answers of a run go."""

    def begin(self, name: str) -> None:
        """A page's turn has come."""

    def show(self, text: str) -> None:
        """The page's text so far."""

    def finish(self, record: dict[str, Any]) -> None:
        """The page's whole record."""


class JsonPrinter:
    """One line of JSON for each page, when it is done."""

    def begin(self, name: str) -> None:
        """Nothing: a line is whole or not there."""

    def show(self, text: str) -> None:
        """Nothing, likewise."""

    def finish(self, record: dict[str, Any]) -> None:
        """Print the record at once, so that a reader need not wait for the next."""
        print(json.dumps(record, ensure_ascii=False), flush=True)


class TextPrinter:
    """Text as it comes, each page under its name where there are several.

    Of an answer whose format is only known at its end, nothing is shown before.
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
        """Print what is new; a text's last spaces may yet turn out to be its end."""
        text = disarm(text).rstrip()
        if self.streams and text.startswith(self._shown):
            print(text[len(self._shown) :], end="", flush=True)
            self._shown = text

    def finish(self, record: dict[str, Any]) -> None:
        """Print the rest, then what is to be said about it."""
        text = disarm(record.get("text", ""))
        if text.startswith(self._shown):
            print(text[len(self._shown) :], flush=True)
        else:  # its loop was cut off, or quotation marks turned out to be comment
            print(f"\n\n{text}" if record.get("finish_reason") != "loop" else "", flush=True)
        for found in record.get("differences", ()):
            print(describe_pixels(found), flush=True)
        for word in record.get("uncertain", ()):
            note(f"unsure ({word['probability']:.0%}): {word['word']}")
        for key in ("problem", "note", "error"):
            if key in record:
                note(record[key])
        if self.is_named:
            print(flush=True)


class SilentPrinter:
    """Nothing on standard output: the results go to a file."""

    def begin(self, name: str) -> None:
        """Nothing."""

    def show(self, text: str) -> None:
        """Nothing."""

    def finish(self, record: dict[str, Any]) -> None:
        """Nothing."""


@contextmanager
def phase_line() -> Iterator[Callable[[Chunk], None]]:
    """A function that shows a chunk's phase on standard error, if that is a terminal.

    Its line is gone with the first word, and when the answer ends.
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
    """What the pixels of two pictures say, in one line."""
    first, second = found["pictures"]
    boxes = "; ".join(
        f"{region['number']}: {', '.join(map(str, region['box']))}" for region in found["regions"]
    )
    regions = f"; changed (left, top, right, bottom): {boxes}" if boxes else ""
    return f"[pixels of {first} and {second}: {found['verdict']}{regions}]"


def disarm(text: str) -> str:
    """Take out what would steer a terminal."""
    return "".join(letter for letter in text if letter in "\n\t" or letter.isprintable())


def note(text: str) -> None:
    """Say something on standard error."""
    print(text, file=sys.stderr, flush=True)
