"""Detects an answer that repeats itself endlessly, in its text while it grows, and cuts it.

Vision-language models sometimes repeat a line or phrase until their token limit. A repetition
penalty would prevent that, but genuine repeats too; so sampling is left alone, and an answer ends
once its repetition is longer than those that images really have. For an answer cut at its token
limit, fewer repeats suffice: it was still repeating itself and had nothing else to say. Knows text
only; must not know tokens or the model.
"""

import math
import re
from typing import Final

from phi3v.conversation.counted_repetition import Repetition, find_counted_repetition

# Characters searched at the end of an answer: four times the longest unit that is detected.
WINDOW: Final = 4800
LONGEST_UNIT: Final = WINDOW // 4

# Consecutive repeats from which a unit counts as endless repetition. What images really repeat is
# short: prices, zeros, ticks, "yes", "ha", rows of equal cells. A page has some 50 lines, so 50
# repeats; a line has some 100 characters, so also at least twice that many characters.
SHORT_REPEATS: Final = 50
SHORT_CHARACTERS: Final = 200
# A word repeated within one line: a line has some 100 characters, plus half as many as a margin.
# Equal cells of a table have shorter words, or none.
LINE_REPEATS: Final = 12
LINE_CHARACTERS: Final = 150
LINE_WORD: Final = 5
# Equal cells of a table without lines, or whose lines are broken anywhere: more than a page has.
TABLE_CELLS: Final = 600
# Nothing that people write has so many equal letters or digits in a row.
SAME_CHARACTERS: Final = 100
# Units without letters and digits: rules, dot leaders, empty boxes and blanks to fill in genuinely
# continue for several lines.
SYMBOL_CHARACTERS: Final = 400
# A unit of four different words is a phrase. Genuine repeats of phrases are rare and fewer than 12:
# a written exercise, a chorus, equal lines on a blackboard; a paragraph is repeated on forms in
# triplicate. A page with more of them, such as a sheet of equal labels, ends the answer by mistake;
# it can be continued.
PHRASE_WORDS: Final = 4
PHRASE_REPEATS: Final = ((100, 12), (300, 6), (math.inf, 4))  # (longest unit, repeats)

# The same for an answer that was cut at its token limit while it repeated itself.
CUT_SHORT_REPEATS: Final = 12
CUT_SHORT_CHARACTERS: Final = 100
CUT_SYMBOL_CHARACTERS: Final = 200
CUT_PHRASE_REPEATS: Final = ((100, 6), (math.inf, 4))

# The same within the unit of a repetition that was found, whitespace not counted.
UNIT_REPEATS: Final = 6
UNIT_CHARACTERS: Final = 20

WHITESPACE: Final = re.compile(r"\s+")
WIDE_BLANK: Final = re.compile(r"[^\S\n]{2}|[^\S\n ]")
CELL: Final = re.compile(r"[^\s|,;]+")
BLANKS: Final = re.compile(r"[^\S\n]+")
WORD: Final = re.compile(r"[^\W\d_]{2,}")


def find_loop(text: str, is_cut: bool = False) -> Repetition | None:
    """Return the endless repetition with which a text ends; None if it ends otherwise.

    Repeats as short as those that images really have do not count. is_cut says that the text was
    cut at its token limit. Runs of whitespace count as equal whatever their length; but line ends
    are not blanks where equal cells may be a table's. Takes about 4 ms: four or five passes over
    the last 4,800 characters.
    """
    exact = find_exact_repetition(text, is_cut)
    if exact is None and is_cut:
        # the last unit may be incomplete and end with a space that the others lack there
        exact = find_exact_repetition(text.rstrip(), is_cut)
    if exact is not None:
        return exact
    return find_spaced_repetition(text, is_cut) or find_counted_repetition(text, is_cut)


def find_spaced_repetition(text: str, is_cut: bool) -> Repetition | None:
    """Return the repetition of units with which a text ends, but for their whitespace."""
    offset = max(0, len(text) - WINDOW)
    line = max(offset, text.rfind("\n") + 1)
    for begin, blanks, is_line in (
        (offset, BLANKS, False),
        (offset, WHITESPACE, False),
        (line, BLANKS, True),
    ):
        if blanks is WHITESPACE and line == offset:
            continue  # it has one line
        if blanks is BLANKS and not is_line and WIDE_BLANK.search(text, begin) is None:
            continue  # it was searched
        collapsed, positions = collapse_whitespace(text[begin:], blanks)
        cells = TABLE_CELLS if blanks is WHITESPACE else 0
        found = find_exact_repetition(collapsed, is_cut, is_line, cells)
        if found is not None:
            start, end = (begin + positions[found.start + at] for at in (0, len(found.unit)))
            return Repetition(text[start:end], found.repeats, start)
    return None


def find_exact_repetition(
    text: str, is_cut: bool, is_line: bool = False, cells: int = 0
) -> Repetition | None:
    """Return the repetition of exactly equal units with which a text, or one line, ends.

    Units that may be cells of a table are required to have `cells` repeats at least.
    """
    for period, length in find_periods(text[-WINDOW:]):
        unit = rotate_to_boundary(text[-period:])
        needed = required_repeats(unit, is_cut, is_line)
        if length // period >= (max(needed, cells) if is_short(unit) else needed):
            start = len(text) - length
            while start > 0 and text[start - 1] == text[start - 1 + period]:
                start -= 1
            return Repetition(unit, (len(text) - start) // period, start)
    return None


def is_short(unit: str) -> bool:
    """True for a unit as cells of tables have it: no long word, no phrase."""
    words = {word.lower() for word in WORD.findall(unit)}
    return len(words) < PHRASE_WORDS and max(map(len, words), default=0) < LINE_WORD


def collapse_whitespace(text: str, blanks: re.Pattern[str]) -> tuple[str, list[int]]:
    """Replace runs of blanks by one space; return the text and its characters' old indices."""
    collapsed, at = "", 0
    positions: list[int] = []
    for blank in blanks.finditer(text):
        collapsed += text[at : blank.start()] + " "
        positions += range(at, blank.start() + 1)
        at = blank.end()
    return collapsed + text[at:], [*positions, *range(at, len(text) + 1)]


def cut_repetition(text: str) -> str:
    """Return a text with the repetition at its end reduced to one unit; unchanged without one.

    Repetitions that directly precede it, or are within its unit, are reduced in the same way.
    """
    repetition = find_loop(text) or find_loop(text, is_cut=True)
    if repetition is None:
        return text
    remaining = text[: repetition.start + len(repetition.unit)].rstrip()
    while (shorter := reduce_unit(remaining)) != remaining:
        remaining = shorter
    return remaining


def reduce_unit(text: str) -> str:
    """Return a text whose repetition was cut, with any repetition now at its end cut as well.

    "hahaha hahaha" is repeated as a whole, and its unit repeats "ha", whitespace ignored.
    """
    positions = [at for at, character in enumerate(text) if not character.isspace()]
    tail = "".join(text[at] for at in positions)
    for period, length in find_periods(tail[-WINDOW:]):
        if length >= max(UNIT_CHARACTERS, UNIT_REPEATS * period):
            return text[: positions[len(tail) - length + period - 1] + 1]
    return text


def find_periods(text: str) -> list[tuple[int, int]]:
    """Return (period, length) of the periodic suffixes of a text, shortest period first.

    The prefix function of Knuth, Morris and Pratt over the reversed text gives the shortest period
    of each suffix. Periods up to LONGEST_UNIT with at least four repeats are returned, with the
    length of the longest suffix that has them.
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


def rotate_to_boundary(unit: str) -> str:
    """Return a unit rotated to begin at a line or word: "lo\\nhel" becomes "hello\\n"."""
    at = unit.find("\n") + 1 or unit.find(" ") + 1
    return unit[at:] + unit[:at]


def required_repeats(unit: str, is_cut: bool, is_line: bool = False) -> int:
    """Return the repeats, in the text or one line, from which a unit is endless repetition."""
    is_row = "\n" in unit and len(CELL.findall(unit)) > 2
    if not any(character.isalnum() for character in unit) and not is_row:
        return math.ceil((CUT_SYMBOL_CHARACTERS if is_cut else SYMBOL_CHARACTERS) / len(unit))
    if len(unit) == 1:
        return SAME_CHARACTERS
    words = {word.lower() for word in WORD.findall(unit)}
    if len(words) < PHRASE_WORDS:
        repeats, characters = SHORT_REPEATS, SHORT_CHARACTERS
        if is_cut and not (is_row and is_short(unit)):
            repeats, characters = CUT_SHORT_REPEATS, CUT_SHORT_CHARACTERS
        elif is_line and max(map(len, words), default=0) >= LINE_WORD:
            repeats, characters = LINE_REPEATS, LINE_CHARACTERS
        return max(repeats, math.ceil(characters / len(unit)))
    table = CUT_PHRASE_REPEATS if is_cut else PHRASE_REPEATS
    return next(repeats for length, repeats in table if len(unit) <= length)
