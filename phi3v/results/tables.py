"""Reads every table in an answer, and names what fits none: ragged rows, lines left out.

Rows keep all their cells, whatever the header has. Must not know output formats or cleaning.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from phi3v.results.fences import Section, split_fences
from phi3v.results.html_tables import read_html_tables, split_html
from phi3v.results.markdown_tables import is_bordered, is_row, read_pipe_tables
from phi3v.results.rows import Rows
from phi3v.results.separated_values import (
    ValuesRead,
    find_titles,
    is_sentence,
    read_commas,
    read_fenced,
    read_tabbed,
)
from phi3v.translatable import Text

LONGEST_QUOTE: Final = 60  # characters of a line that a problem quotes
TABLE_END: Final = re.compile(r"</table\s*>\s*", re.IGNORECASE)


@dataclass
class TablesRead:
    """The tables of an answer, in order, and what is to be looked at, each with its row or line."""

    tables: list[Rows] = field(default_factory=list)
    problems: list[Text] = field(default_factory=list)

    def leave_out(self, lines: Sequence[tuple[int, str]]) -> None:
        """Add a problem for each line (number, text) that is in no table."""
        self.problems += [explain_line(number, line) for number, line in lines]

    def add_values(self, read: ValuesRead) -> None:
        """Add what a reader of separated values found."""
        self.tables += read.tables
        self.leave_out(read.left_out)


def read_tables(text: str) -> TablesRead:
    """Return the tables of an answer; none if it has no table."""
    read = TablesRead()
    sections = split_fences(text)
    for section in sections:
        read_section(section, read)
    if not read.tables:
        read = TablesRead()
        is_fenced = any(section.is_fenced for section in sections)
        for section in sections:
            if section.is_fenced:
                read.tables.append(read_fenced(section.lines, section.info))
            elif not is_fenced:
                read.add_values(read_commas(section.lines, section.number))
    read.problems += explain_rows(read.tables)
    return read


def read_section(section: Section, read: TablesRead) -> None:
    """Add a section's tables of HTML, pipes and tabs; with commas too if its fence says so."""
    if section.info in ("csv", "tsv"):
        read.tables.append(read_fenced(section.lines, section.info))
        return
    number = section.number
    for is_html, piece in split_html("\n".join(section.lines)):
        if is_html:
            found = read_html_tables(piece)
            read.tables += found
            if found and not TABLE_END.search(piece):
                read.problems.append(explain_end(len(found[-1])))
        else:
            read_lines(tuple(piece.split("\n")), number, read)
        number += piece.count("\n")


def read_lines(lines: tuple[str, ...], number: int, read: TablesRead) -> None:
    """Add the tables of pipes and tabs in some lines, the first of which has this number."""
    at = 0
    for table in [*read_pipe_tables(lines), None]:
        end = table.begin - 1 if table else len(lines)
        between = lines[at:end]
        read.add_values(read_tabbed(between, number + at))
        stray = [
            (number + at + index, line)
            for index, line in enumerate(between)
            if is_row(line) and "\t" not in line and not is_sentence(line)
        ]
        read.leave_out(stray)
        if table and not is_bordered(lines[table.begin - 1]):
            named = {line for line, _ in stray}
            titles = find_titles(between, number + at)
            read.leave_out([title for title in titles if title[0] not in named])
        if table:
            read.tables.append(table.rows)
            if table.dashes:
                read.problems.append(explain_dashes(table.dashes))
            at = table.end - 1


def explain_rows(tables: Sequence[Rows]) -> list[Text]:
    """Return a problem for each row whose length differs from its table's first row."""
    problems = []
    for index, table in enumerate(tables, 1):
        for number, row in enumerate(table, 1):
            if len(row) != len(table[0]):
                problems.append(explain_row(index if len(tables) > 1 else 0, number, row, table[0]))
    return problems


def explain_row(table: int, number: int, row: Sequence[str], first: Sequence[str]) -> Text:
    """Return the message for a row of another length; table is 0 if there is only one."""
    if not table:
        return Text(
            "Row {number} has {count} cells and the first row {first}: look at that row, and "
            "correct it by hand.",
            number=number,
            count=len(row),
            first=len(first),
        )
    return Text(
        "In table {table}, row {number} has {count} cells and the first row {first}: look at that "
        "row, and correct it by hand.",
        table=table,
        number=number,
        count=len(row),
        first=len(first),
    )


def explain_line(number: int, line: str) -> Text:
    """Return the message for a line that has the look of a row, but is in no table."""
    quoted = line.strip()
    if len(quoted) > LONGEST_QUOTE:
        quoted = f"{quoted[:LONGEST_QUOTE]}…"
    return Text(
        "Line {number} is in no table and is left out: {line}. Add it by hand if it belongs there.",
        number=number,
        line=quoted,
    )


def explain_dashes(number: int) -> Text:
    """Return the message for a row of single dashes that was taken for a table's rule."""
    return Text(
        "Row {number} has nothing but dashes and was taken for the rule under the header.",
        number=number,
    )


def explain_end(number: int) -> Text:
    """Return the message for a table that does not end."""
    return Text(
        "The table breaks off in row {number}: continue the answer, or allow a longer one "
        "(max_new_tokens).",
        number=number,
    )
