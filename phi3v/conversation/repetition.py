"""When an answer says the same thing for ever: found in its text while it grows, and cut off.

Networks that read pictures sometimes fall into a line or phrase and repeat it until their limit. A
repetition penalty would keep them from it, and from every genuine repeat too; so nothing is changed
in how tokens are chosen, and the answer ends once a repeat is longer than pictures have them. Where
the longest answer allowed cuts it before that, less is enough: an answer that was still repeating
itself then had nothing else to say. Knows text only.
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
# The same word again and again within one line goes no further than a line does, some 100
# characters and half as many to be sure; equal cells of a table have shorter words, or none.
LINE_REPEATS: Final = 12
LINE_CHARACTERS: Final = 150
LINE_WORD: Final = 5
# Nothing that people write has one letter or digit so often in a row.
SAME_CHARACTERS: Final = 100
# Rules, dot leaders, empty boxes and blanks to fill in go on for several lines.
BLANK_CHARACTERS: Final = 400
# A unit of four different words is a phrase, and equal phrases are rare: a written exercise, a
# chorus, a blackboard of equal lines. They have fewer than 12; a paragraph is repeated on forms in
# triplicate. What is more, such as a sheet of equal labels, is ended and can be gone on with.
PHRASE_WORDS: Final = 4
PHRASE_REPEATS: Final = ((100, 12), (300, 6), (math.inf, 4))  # up to so many characters: repeats

# The same for an answer that was cut while it repeated.
CUT_SHORT_REPEATS: Final = 12
CUT_SHORT_CHARACTERS: Final = 100
CUT_BLANK_CHARACTERS: Final = 200
CUT_PHRASE_REPEATS: Final = ((100, 6), (math.inf, 4))

# The same within the unit of a loop that has been found, blanks not counted.
UNIT_REPEATS: Final = 6
UNIT_CHARACTERS: Final = 20

BLANKS: Final = re.compile(r"\s+")
WORD: Final = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Loop:
    """What a text says again and again up to its end: which unit, how often, and from where."""

    unit: str
    repeats: int
    start: int


def find_loop(text: str, is_cut: bool = False) -> Loop | None:
    """The loop in which a text ends; None where its end repeats nothing, or no more than pictures.

    is_cut tells that the text was cut at the longest answer allowed. Blanks of different lengths
    count as equal. Takes about 3 ms: three passes, or four, over the last 4,800 characters.
    """
    exact = find_repeat(text, is_cut)
    if exact is None and is_cut:
        exact = find_repeat(text.rstrip(), is_cut)  # a unit may be left where a blank is put in
    if exact is not None:
        return exact
    offset = max(0, len(text) - WINDOW)
    for begin, is_line in ((offset, False), (max(offset, text.rfind("\n") + 1), True)):
        narrowed, places = narrow_blanks(text[begin:])
        found = find_repeat(narrowed, is_cut, is_line)
        if found is not None:
            start, end = (begin + places[found.start + at] for at in (0, len(found.unit)))
            return Loop(text[start:end], found.repeats, start)
    return None


def find_repeat(text: str, is_cut: bool, is_line: bool = False) -> Loop | None:
    """The loop in which a text, or a line, ends, every character of it counted."""
    for period, length in find_periods(text[-WINDOW:]):
        unit = turn_to_start(text[-period:])
        if length // period >= count_needed(unit, is_cut, is_line):
            start = len(text) - length
            while start > 0 and text[start - 1] == text[start - 1 + period]:
                start -= 1
            return Loop(unit, (len(text) - start) // period, start)
    return None


def narrow_blanks(text: str) -> tuple[str, list[int]]:
    """A text with one space for each run of blanks, and where each of its characters stood."""
    narrowed, at = "", 0
    places: list[int] = []
    for blank in BLANKS.finditer(text):
        narrowed += text[at : blank.start()] + " "
        places += range(at, blank.start() + 1)
        at = blank.end()
    return narrowed + text[at:], [*places, *range(at, len(text) + 1)]


def cut_repetition(text: str) -> str:
    """A text that ended in a loop, with the loop said once; unchanged where there is none.

    So are those that led into it one after the other.
    """
    loop = find_loop(text) or find_loop(text, is_cut=True)
    if loop is None:
        return text
    left = text[: loop.start + len(loop.unit)].rstrip()
    while (shorter := shorten_unit(left)) != left:
        left = shorter
    return left


def shorten_unit(text: str) -> str:
    """The text that is left of a loop, a small repeat within its last unit said once.

    "hahaha hahaha" loops as a whole, and its unit does as well but for blanks.
    """
    places = [at for at, character in enumerate(text) if not character.isspace()]
    tail = "".join(text[at] for at in places)
    for period, length in find_periods(tail[-WINDOW:]):
        if length >= max(UNIT_CHARACTERS, UNIT_REPEATS * period):
            return text[: places[len(tail) - length + period - 1] + 1]
    return text


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


def count_needed(unit: str, is_cut: bool, is_line: bool = False) -> int:
    """How often a unit must stand in a row, or on a line, to be a loop and no genuine repeat."""
    if not any(character.isalnum() for character in unit):
        return math.ceil((CUT_BLANK_CHARACTERS if is_cut else BLANK_CHARACTERS) / len(unit))
    if len(unit) == 1:
        return SAME_CHARACTERS
    words = {word.lower() for word in WORD.findall(unit)}
    if len(words) < PHRASE_WORDS:
        repeats, characters = SHORT_REPEATS, SHORT_CHARACTERS
        if is_cut:
            repeats, characters = CUT_SHORT_REPEATS, CUT_SHORT_CHARACTERS
        elif is_line and max(map(len, words), default=0) >= LINE_WORD:
            repeats, characters = LINE_REPEATS, LINE_CHARACTERS
        return max(repeats, math.ceil(characters / len(unit)))
    table = CUT_PHRASE_REPEATS if is_cut else PHRASE_REPEATS
    return next(repeats for length, repeats in table if len(unit) <= length)
