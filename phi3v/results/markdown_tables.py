"""Reads tables of lines with pipes: Markdown with its rule or without, and boxes of characters.

Markdown's own readers give every row as many cells as the header, and drop the others; here a row
keeps all its cells. Must not know other kinds of tables or output formats.
"""

import re
from dataclasses import dataclass
from typing import Final

from phi3v.results.rows import Rows, clean_cell

PIPE: Final = re.compile(r"(?<!\\)\|")
RULE_CELL: Final = re.compile(r"\s*:?-+:?\s*")
# Rules of boxes, drawn in ASCII (+---+) or in box-drawing characters.
BOX_RULE: Final = re.compile(
    r"\s*(?:\+[-=+: ]*[-=][-=+: ]*\+|[\u2500-\u257f ]*[─━═][\u2500-\u257f ]*)\s*"
)
BOX_SIDES: Final = str.maketrans("│┃║", "|||")


@dataclass(frozen=True)
class PipeTable:
    """A table's rows, the numbers (from 1) of its first line and of the line after its last.

    has_rule says that a rule follows its first row. dashes is the row, from 1, that has nothing but
    a dash or two in each cell and was taken for that rule.
    """

    rows: Rows
    begin: int
    end: int
    has_rule: bool = False
    dashes: int | None = None


def read_pipe_tables(lines: tuple[str, ...]) -> list[PipeTable]:
    """Return the tables in some lines, in order; blank lines between rows are skipped."""
    if any(BOX_RULE.fullmatch(line) and not line.isascii() for line in lines):
        lines = tuple(line.translate(BOX_SIDES) for line in lines)
    tables: list[PipeTable] = []
    at = 0
    while at < len(lines):
        end = find_end(lines, at)
        table = read_block(lines[at:end], at + 1) if end > at else None
        if table is None:
            at = max(end, at + 1)
            continue
        if tables and continues(tables[-1], table, lines):
            last = tables.pop()
            table = PipeTable(
                last.rows + table.rows, last.begin, table.end, last.has_rule, last.dashes
            )
        tables.append(table)
        at = end
    return [table for table in tables if is_table(table, lines)]


def find_end(lines: tuple[str, ...], begin: int) -> int:
    """Return the index after the block of rows that begins at a line; begin if none does.

    Where rows have a pipe at both ends, a line without any is not one of them, unless the row
    before it was left open; elsewhere it is a row of one cell.
    """
    is_box = BOX_RULE.fullmatch(lines[begin]) is not None
    if not is_row(lines[begin]) and not is_box and not is_single_header(lines[begin : begin + 2]):
        return begin
    bordered = is_bordered(lines[begin]) or is_box
    end = begin + 1
    while end < len(lines) and lines[end].strip():
        is_open = not lines[end - 1].rstrip().endswith(("|", "+")) and is_row(lines[end - 1])
        is_part = is_row(lines[end]) or BOX_RULE.fullmatch(lines[end]) is not None
        if bordered and not is_part and not is_open:
            break
        end += 1
    return end


def is_single_header(lines: tuple[str, ...]) -> bool:
    """True for a header of one cell, which needs no pipe, and the rule under it."""
    return (
        bool(lines[0].strip())
        and lines[1:] != ()
        and is_rule(lines[1])
        and (len(split_cells(lines[1])) == 1)
    )


def is_row(line: str) -> bool:
    """True if a line has a pipe that is not escaped."""
    return PIPE.search(line) is not None


def is_bordered(line: str) -> bool:
    """True if a line begins with a pipe."""
    return line.lstrip().startswith("|")


def read_block(lines: tuple[str, ...], number: int) -> PipeTable | None:
    """Return the table of consecutive lines, the first of which has this number."""
    kept = [line for line in lines if not BOX_RULE.fullmatch(line)]
    if not kept:
        return None
    has_box = len(kept) < len(lines)
    rule = next((at for at, line in enumerate(kept[:2]) if is_rule(line) and not has_box), None)
    dashes = None
    if rule is not None and all(cell in (" - ", " -- ") for cell in split_cells(kept[rule])):
        dashes = rule + 1
    if rule is not None:
        del kept[rule]
    rows = [list(map(clean_cell, split_cells(line))) for line in join_open_rows(kept)]
    return PipeTable(rows, number, number + len(lines), rule == 1 or has_box, dashes)


def is_rule(line: str) -> bool:
    """True for the line under a header, such as |---|:-:|."""
    return is_row(line) and all(RULE_CELL.fullmatch(cell) for cell in split_cells(line))


def split_cells(line: str) -> list[str]:
    r"""Return a row's cells as they are written, but for escaped pipes: `\|` is a pipe."""
    line = line.strip().removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    return [cell.replace("\\|", "|") for cell in PIPE.split(line)]


def join_open_rows(lines: list[str]) -> list[str]:
    """Return the rows, with a cell's further lines joined to a row that they complete."""
    if not lines or not is_bordered(lines[0]):
        return lines
    width = len(split_cells(lines[0]))
    rows = [lines[0]]
    for line in lines[1:]:
        joined = f"{rows[-1]}\n{line}"
        is_open = not rows[-1].rstrip().endswith("|") and not is_bordered(line)
        if is_open and len(split_cells(joined)) <= width:
            rows[-1] = joined
        else:
            rows.append(line)
    return rows


def continues(last: PipeTable, table: PipeTable, lines: tuple[str, ...]) -> bool:
    """True if a table without a rule goes on with the last one, after blank lines only."""
    between = lines[last.end - 1 : table.begin - 1]
    return (
        not any(map(str.strip, between))
        and not table.has_rule
        and table.dashes is None
        and len(last.rows[0]) == len(table.rows[0])
        and is_bordered(lines[last.begin - 1]) == is_bordered(lines[table.begin - 1])
    )


def is_table(table: PipeTable, lines: tuple[str, ...]) -> bool:
    """True unless it may be prose or a table of another kind: `a | b` alone, `|x|`, `a,|`."""
    is_single = len(table.rows) == 1
    if table.has_rule or table.dashes:
        return True
    first = lines[table.begin - 1]
    if is_bordered(first) and ("\t" not in first or first.rstrip().endswith("|")):
        return not is_single or len(table.rows[0]) > 1
    written = lines[table.begin - 1 : table.end - 1]
    has_others = any("\t" in line for line in written) or all("," in line for line in written)
    return not is_single and not has_others and sum(map(is_row, written)) * 2 >= len(written)
