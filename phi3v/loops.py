"""When an answer says the same thing for ever: found in its text while it grows, and cut off.

Networks that read pictures sometimes fall into a line or phrase and repeat it until their limit. A
repetition penalty would keep them from it, and from every genuine repeat too; so nothing is changed
in how tokens are chosen, and the answer ends once a repeat is longer than pictures have them. Knows
text only.
"""

import math
import re
from dataclasses import dataclass
from typing import Final

# Only the end of an answer is looked at: four times the longest unit that is recognized.
WINDOW: Final = 4800
LONGEST_UNIT: Final = WINDOW // 4

# How often a unit must stand in a row to be a loop. What pictures really repeat is short: prices,
# zeros, ticks, "yes", "ha", rows of equal cells. A page has some 50 lines, so 50 repeats, and a
# line has some 100 characters, so also twice that many.
SHORT_REPEATS: Final = 50
SHORT_CHARACTERS: Final = 200
# Rules, dot leaders, empty boxes and blanks to fill in go on for several lines.
BLANK_CHARACTERS: Final = 400
# A unit of four different words is a phrase, and equal phrases are rare: a written exercise, a
# chorus, a blackboard of equal lines. They have fewer than 12; a paragraph is repeated on forms in
# triplicate. What is more, such as a sheet of equal labels, is ended and can be gone on with.
PHRASE_WORDS: Final = 4
PHRASE_REPEATS: Final = ((100, 12), (300, 6), (math.inf, 4))  # up to so many characters: repeats

WORD: Final = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Loop:
    """What a text says again and again up to its end: which unit, how often, and from where."""

    unit: str
    repeats: int
    start: int


def find_loop(text: str) -> Loop | None:
    """The loop in which a text ends; None where its end repeats nothing, or no more than pictures.

    Takes about 1 ms: one pass over the last 4,800 characters.
    """
    for period, length in find_periods(text[-WINDOW:]):
        unit = turn_to_start(text[-period:])
        if length // period >= count_needed(unit):
            start = len(text) - length
            while start > 0 and text[start - 1] == text[start - 1 + period]:
                start -= 1
            return Loop(unit, (len(text) - start) // period, start)
    return None


def cut_loop(text: str) -> str:
    """A text whose loop is said once; unchanged where there is none."""
    loop = find_loop(text)
    return text if loop is None else text[: loop.start + len(loop.unit)].rstrip()


def find_periods(text: str) -> list[tuple[int, int]]:
    """The periods with which the end of a text repeats, shortest first: (period, length of it).

    The prefix function of Knuth, Morris and Pratt, over the text read backwards, gives for every
    length of its end the shortest period.
    """
    backwards = text[::-1]
    borders = [0] * len(backwards)
    longest: dict[int, int] = {}
    border = 0
    for at in range(1, len(backwards)):
        while border and backwards[at] != backwards[border]:
            border = borders[border - 1]
        if backwards[at] == backwards[border]:
            border += 1
        borders[at] = border
        period = at + 1 - border
        if period <= LONGEST_UNIT and at + 1 >= 4 * period:
            longest[period] = at + 1
    return sorted(longest.items())


def turn_to_start(unit: str) -> str:
    """A unit begun at a line or word: "lo\\nhel" is "hello" and its end of line."""
    at = unit.find("\n") + 1 or unit.find(" ") + 1
    return unit[at:] + unit[:at]


def count_needed(unit: str) -> int:
    """How often a unit must stand in a row to be a loop and no genuine repeat."""
    if not any(character.isalnum() for character in unit):
        return math.ceil(BLANK_CHARACTERS / len(unit))
    words = {word.lower() for word in WORD.findall(unit)}
    if len(words) < PHRASE_WORDS:
        return max(SHORT_REPEATS, math.ceil(SHORT_CHARACTERS / len(unit)))
    return next(repeats for length, repeats in PHRASE_REPEATS if len(unit) <= length)
