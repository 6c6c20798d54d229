"""Detects an answer that repeats one thing under growing numbers: "1. a house", "2. a house", ...

Numbers are masked, the masked text must repeat up to its end, and the numbers must count: each
repeat adds the same, or carries over as dates and times do. A table whose numbers do anything else
is no such repetition. Knows text only; must not know tokens or the model.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

# Characters searched at the end of an answer: 80 lines of text.
COUNTED_WINDOW: Final = 9600
LONGEST_UNIT: Final = COUNTED_WINDOW // 8
PROBE: Final = 40  # characters up to a number, whose previous occurrence gives the unit's length
LINE_LENGTH: Final = 90

# Repeats from which a unit of one line counts as endless repetition. Images have counted lines of
# one text too: a page has some 50 lines, an answer sheet 100 questions of the same four letters, a
# sheet of raffle numbers or a chart of a hundred has no words at all.
PHRASE_WORDS: Final = 4
PHRASE_REPEATS, WORD_REPEATS, NUMBER_REPEATS = 80, 120, 300
# The same for an answer that was cut at its token limit.
CUT_PHRASE_REPEATS, CUT_WORD_REPEATS, CUT_NUMBER_REPEATS = 40, 80, 200
LEAST_REPEATS: Final = 12  # of a unit of many lines
# Of so many steps one may carry over to the next hour, day, month, chapter.
STEPS_PER_CARRY: Final = 5

NUMBER: Final = re.compile(r"\d+")
LAST_NUMBER: Final = re.compile(r"\d+\Z")
WHITESPACE: Final = re.compile(r"\s+")
WORD: Final = re.compile(r"[^\W\d_]{2,}")
MASK: Final = "\0"

Row = tuple[int, ...]


@dataclass(frozen=True)
class Repetition:
    """A unit that a text repeats up to its end; start is the index where that begins."""

    unit: str
    repeats: int
    start: int


def find_counted_repetition(text: str, is_cut: bool = False) -> Repetition | None:
    """Return the counted repetition with which a text ends; None if it ends otherwise.

    is_cut says that the text was cut at its token limit. Takes two passes of a regular expression
    over the last 9,600 characters, and more only where the masked text repeats.
    """
    if find_in_window(text[-COUNTED_WINDOW:], is_cut) is None:
        return None
    return find_in_window(text, is_cut)  # it may begin before the window


def find_in_window(text: str, is_cut: bool) -> Repetition | None:
    """Return the counted repetition with which a text ends, looking at all of it."""
    tail = drop_incomplete(text)
    whole = NUMBER.sub(MASK, WHITESPACE.sub(" ", tail))
    masked = whole[: whole.rfind(MASK) + 1]
    probe = masked[-PROBE:]
    before = masked.rfind(probe, 0, len(masked) - 1) if probe else -1
    period = len(masked) - len(probe) - before
    unit = masked[-period:]
    if before < 0 or period > LONGEST_UNIT or not unit.startswith(whole[len(masked) :]):
        return None
    repeats = count_units(masked, unit)
    needed = required_repeats(unit, is_cut)
    if repeats < needed - 1:
        return None
    # before the first number of all is something else
    repeats += masked.endswith(unit[unit.index(MASK) :], 0, len(masked) - repeats * period)
    found = list(NUMBER.finditer(tail))
    slots = unit.count(MASK)
    first = len(found) - repeats * slots
    values = [int(number[0][-9:]) for number in found[first:]]
    rows = [tuple(values[at : at + slots]) for at in range(0, len(values), slots)]
    counted = count_steps(rows)
    if counted < needed:
        return None
    at = first + (repeats - counted) * slots
    start, end = (line_start(tail, found[index].start()) for index in (at, at + slots))
    return Repetition(tail[start:end], counted, start)


def drop_incomplete(text: str) -> str:
    """Return a text without a short last line, or else without its last number."""
    line = text.rfind("\n") + 1
    return text[:line] if 0 < len(text) - line <= LINE_LENGTH else LAST_NUMBER.sub("", text)


def count_units(text: str, unit: str) -> int:
    """Return how often a text ends with a unit."""
    count, end = 0, len(text)
    while text.endswith(unit, 0, end) and end >= len(unit):
        count, end = count + 1, end - len(unit)
    return count


def count_steps(rows: list[Row]) -> int:
    """Return how many of the last rows count: each is the row before plus the usual step."""
    steps = [tuple(b - a for a, b in zip(*pair, strict=True)) for pair in pairwise(rows)]
    if not steps:
        return 0
    usual = Counter(steps).most_common(1)[0][0]
    if not any(usual):
        return 0
    count, carries = 1, 0
    for row, step in zip(reversed(rows), reversed(steps), strict=False):
        if step != usual:
            carries += 1
            if not is_carry(step, row) or carries * STEPS_PER_CARRY > count + STEPS_PER_CARRY:
                break
        count += 1
    return count


def is_carry(step: Row, row: Row) -> bool:
    """True for a step such as from 31 January to 1 February: one more, and others begin anew."""
    raised = [change for change in step if change > 0]
    fallen = [value for change, value in zip(step, row, strict=True) if change < 0]
    return raised == [1] and bool(fallen) and all(value <= 1 for value in fallen)


def line_start(text: str, at: int) -> int:
    """Return where the line begins that has a number at an index, if only a mark precedes it."""
    begin = text.rfind("\n", 0, at) + 1
    return begin if at - begin <= LINE_LENGTH else at


def required_repeats(unit: str, is_cut: bool) -> int:
    """Return the repeats from which a counted unit is endless repetition."""
    if len({word.lower() for word in WORD.findall(unit)}) >= PHRASE_WORDS:
        repeats = CUT_PHRASE_REPEATS if is_cut else PHRASE_REPEATS
    elif any(map(str.isalpha, unit)):
        repeats = CUT_WORD_REPEATS if is_cut else WORD_REPEATS
    else:
        repeats = CUT_NUMBER_REPEATS if is_cut else NUMBER_REPEATS
    return max(LEAST_REPEATS, math.ceil(repeats / math.ceil(len(unit) / LINE_LENGTH)))
