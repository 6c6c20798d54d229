"""Reads tables whose cells are separated by tabs, commas or semicolons, and tells them from prose.

Must not know other kinds of tables or output formats.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from phi3v.results.rows import Rows, clean_cell

SENTENCE_END: Final = re.compile(r"[.!?:…。؟׃]['\"”»)]*\s*")
# Cells of comma-separated tables have fewer words than the clauses of a sentence.
PROSE_WORDS: Final = 2.5


@dataclass
class ValuesRead:
    """Tables, and the lines (number from 1, text) that look like rows but are in none of them."""

    tables: list[Rows] = field(default_factory=list)
    left_out: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Paragraph:
    """Consecutive lines without a blank one; number is the first line's."""

    lines: tuple[str, ...]
    number: int


def read_tabbed(lines: Sequence[str], number: int) -> ValuesRead:
    """Return the tab-separated tables of some lines, the first of which has this number."""
    read = ValuesRead()
    for paragraph in split_paragraphs(lines, number, '"'):
        tabbed = [at for at, line in enumerate(paragraph.lines) if "\t" in line]
        if not tabbed:
            continue
        if len(paragraph.lines) - tabbed[0] < 2:
            read.left_out += number_lines(paragraph, tabbed)
            continue
        begin = tabbed[0]
        for at, line in enumerate(paragraph.lines[:begin]):
            if line.startswith('"') and line.count('"') % 2:  # a first cell of several lines
                begin = at
                break
        read.left_out += find_titles(paragraph.lines[:begin], paragraph.number)
        read.tables.append(read_rows("\n".join(paragraph.lines[begin:]), "\t"))
    return read


def read_fenced(lines: Sequence[str], info: str) -> Rows:
    """Return the rows of a fence's lines, blank ones left out; info is the fence's word."""
    text = "\n".join(lines)
    delimiter = "\t" if info == "tsv" or "\t" in text else choose_delimiter(lines)
    return read_rows(text, delimiter)


def read_commas(lines: Sequence[str], number: int) -> ValuesRead:
    """Return the tables of lines with commas or semicolons, the first of which has this number.

    A paragraph is a table if most of its lines have one number of cells, and it is no prose. Where
    blank lines separate all rows, they are one table.
    """
    paragraphs = split_paragraphs(lines, number, '"')
    if len(paragraphs) > 2 and all(len(paragraph.lines) == 1 for paragraph in paragraphs):
        whole = Paragraph(tuple(line for part in paragraphs for line in part.lines), number)
        numbers = [part.number for part in paragraphs]
    else:
        whole, numbers = Paragraph((), number), []
    if whole.lines and find_width(whole.lines) > 1:
        return read_paragraph(whole, numbers)
    read = ValuesRead()
    rest: list[tuple[int, str]] = []
    for paragraph in paragraphs:
        one = read_paragraph(paragraph, [])
        read.tables += one.tables
        (read.left_out if one.tables else rest).extend(one.left_out)
    if read.tables:
        read.left_out = sorted(read.left_out + rest)
    return read


def read_paragraph(paragraph: Paragraph, numbers: Sequence[int]) -> ValuesRead:
    """Return a paragraph's table, without the prose directly before and after it.

    numbers are its lines' numbers, if they are not consecutive.
    """
    lines = list(paragraph.lines)
    numbers = numbers or range(paragraph.number, paragraph.number + len(lines))
    width = find_width(lines)
    if width < 2:
        left = [pair for pair in zip(numbers, lines, strict=True) if not is_sentence(pair[1])]
        return ValuesRead(left_out=left)
    delimiter = choose_delimiter(lines)
    begin, end = 0, len(lines)
    while begin < end and is_prose_line(lines[begin], delimiter, width):
        begin += 1
    while end > begin and is_prose_line(lines[end - 1], delimiter, width):
        end -= 1
    dropped = [*range(begin), *range(end, len(lines))]
    left_out = [(numbers[at], lines[at]) for at in dropped if delimiter in lines[at]]
    return ValuesRead([read_rows("\n".join(lines[begin:end]), delimiter)], left_out)


def find_width(lines: Sequence[str]) -> int:
    """Return how many cells the lines of a table have; 0 if they are no table."""
    delimiter = choose_delimiter(lines)
    rows = read_rows("\n".join(lines), delimiter)
    widths = Counter(len(row) for row in rows)
    if not widths or max(widths) < 2:
        return 0
    if len(rows) == 1:
        is_row = len(rows[0]) > 2 or any(map(str.isdigit, lines[0]))
        return len(rows[0]) if is_row and not is_prose(lines, rows) else 0
    width, count = max(
        (pair for pair in widths.items() if pair[0] > 1), key=lambda pair: (pair[1], pair[0])
    )
    # a ragged table of two rows is one too
    few = count < max(2, len(rows) / 2) and not (len(rows) < 4 and min(widths) > 1)
    return 0 if few or is_prose(lines, rows) else width


def is_prose(lines: Sequence[str], rows: Rows) -> bool:
    """True if lines read as sentences: many words between commas, and no digit."""
    cells = [cell for row in rows for cell in row]
    words = sum(len(cell.split()) for cell in cells) / max(1, len(cells))
    if any(character.isdigit() for line in lines for character in line):
        return words > 2 * PROSE_WORDS and all(map(is_sentence, lines))
    ends = sum(map(is_sentence, lines)) >= len(lines) / 2
    return words > (1 if ends and len(rows) == 1 else 2 if ends else PROSE_WORDS)


def is_prose_line(line: str, delimiter: str, width: int) -> bool:
    """True for a line beside a table that is a sentence, or announces the table."""
    cells = read_rows(line, delimiter)
    return is_sentence(line) and (not cells or len(cells[0]) != width)


def is_sentence(line: str) -> bool:
    """True if a line has three words or more, and ends as a sentence does."""
    ends = SENTENCE_END.search(line.strip()[-3:])
    return len(line.split()) > 2 and ends is not None and ends.end() == len(line.strip()[-3:])


def choose_delimiter(lines: Sequence[str]) -> str:
    """Return a semicolon if every line has as many of them, and that is not so of commas."""
    commas, semicolons = (
        {line.count(mark) for line in lines if line.strip()} for mark in (",", ";")
    )
    if len(semicolons) != 1 or semicolons == {0}:
        return ","
    return "," if len(commas) == 1 and commas != {0} else ";"


def read_rows(text: str, delimiter: str) -> Rows:
    """Return the rows of separated text without empty ones."""
    try:
        rows = list(
            csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True, strict=True)
        )
    except csv.Error:  # a quotation mark in a cell, such as for inches, or a very long cell
        rows = [line.split(delimiter) for line in text.split("\n")]
    rows = [list(map(clean_cell, row)) for row in rows]
    return [row for row in rows if any(row) or len(row) > 1]


def split_paragraphs(lines: Sequence[str], number: int, quote: str) -> list[Paragraph]:
    """Return the paragraphs of some lines; a quoted cell may have blank lines in it."""
    paragraphs: list[Paragraph] = []
    begun: int | None = None
    for at, line in enumerate([*lines, ""]):
        if line.strip():
            begun = at if begun is None else begun
            continue
        if begun is None:
            continue
        is_open = "".join(lines[begun:at]).count(quote) % 2 == 1
        closes = any(quote in later for later in lines[at:])
        if is_open and closes and at < len(lines):
            continue
        paragraphs.append(Paragraph(tuple(lines[begun:at]), number + begun))
        begun = None
    return paragraphs


def find_titles(lines: Sequence[str], number: int) -> list[tuple[int, str]]:
    """Return (number, text) of lines directly above a table, unless they announce it."""
    titles = []
    for at in reversed(range(len(lines))):
        line = lines[at].rstrip()
        if not line:
            break
        if not is_sentence(line) and not line.endswith(":"):
            titles.append((number + at, line))
    return titles[::-1]


def number_lines(paragraph: Paragraph, indices: Sequence[int]) -> list[tuple[int, str]]:
    """Return (number, text) of a paragraph's lines at some indices."""
    return [(paragraph.number + at, paragraph.lines[at]) for at in indices]
