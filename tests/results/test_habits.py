"""Whatever table or record is drawn, no cell disappears without a problem that names its row."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.habits import (
    ENDINGS,
    FENCES,
    INTRODUCTIONS,
    answers,
    drawn,
    parse_printed,
    printed,
    records,
    write_json,
)

from phi3v.results.formats import Formatted, format_answer

# Written so that a reader can tell every cell.
EXACT = ["markdown", "rule-less", "short rule", "html", "tsv", "csv"]
VAGUE = ["borderless", "bare csv", "plain csv"]


def read_rows(formatted: Formatted) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(formatted.text)) if row]


def is_named(formatted: Formatted, number: int, lines: list[str], cells: list[str]) -> bool:
    """True if a problem names a row by its number, or quotes a line with the row's cells."""
    for problem in formatted.problems:
        if problem.values.get("number") == number and "line" not in problem.values:
            return True
        line = problem.values.get("number", 0)
        if "line" in problem.values and all(cell in lines[line - 1] for cell in cells):
            return True
    return False


def check_nothing_is_lost(rows: list[list[str]], answer: str) -> None:
    formatted = format_answer(answer, "csv")
    if not formatted.fits:
        assert formatted.problems
        lost = [line for line in answer.split("\n") if line.strip() and line not in formatted.text]
        assert all(
            line in "".join(INTRODUCTIONS + ENDINGS) or line[:3] in ("```", "~~~") for line in lost
        )
        return
    read = read_rows(formatted)
    text = strip_delimiters("".join(cell for row in read for cell in row))
    for number, row in enumerate(rows, 1):
        kept = all(strip_delimiters(cell) in text for cell in row)
        lines = answer.split("\n")
        assert row in read or kept or is_named(formatted, number, lines, row), (row, formatted)


def strip_delimiters(text: str) -> str:
    """Return a text without what can separate cells."""
    return re.sub(r'[\s|,;"\\]', "", text)


@pytest.mark.parametrize("kind", EXACT)
@drawn
@given(data=st.data())
def test_a_regular_table_is_read_exactly(kind: str, data: st.DataObject) -> None:
    rows, answer = data.draw(answers(kind, is_ragged=False))
    formatted = format_answer(answer, "csv")
    assert (read_rows(formatted), formatted.problems) == (rows, ())


@pytest.mark.parametrize("kind", EXACT)
@drawn
@given(data=st.data())
def test_a_ragged_row_is_kept_whole_and_named(kind: str, data: st.DataObject) -> None:
    rows, answer = data.draw(answers(kind, is_ragged=True))
    check_nothing_is_lost(rows, answer)


@pytest.mark.parametrize("kind", VAGUE)
@drawn
@given(data=st.data())
def test_no_cell_of_a_vague_table_disappears_unnamed(kind: str, data: st.DataObject) -> None:
    rows, answer = data.draw(answers(kind, is_ragged=data.draw(st.booleans())))
    check_nothing_is_lost(rows, answer)


@drawn
@given(
    record=records,
    gap=st.sampled_from(["", " ", "\n  "]),
    around=st.tuples(
        st.sampled_from(INTRODUCTIONS), st.sampled_from(FENCES), st.sampled_from(ENDINGS)
    ),
)
def test_a_record_keeps_its_values_as_printed(record, gap, around) -> None:
    before, fence, after = around
    answer = before + fence.format("\0").replace("\0", write_json(record, gap)) + after
    formatted = format_answer(answer, "json")
    assert (parse_printed(formatted.text), formatted.problems) == (printed(record), ())


@drawn
@given(
    several=st.lists(records, min_size=2, max_size=4),
    between=st.sampled_from(["\n", "\n\n", ", ", ",\n", "\n\nand\n\n"]),
    fence=st.sampled_from(FENCES),
)
def test_several_records_become_a_list(several, between, fence) -> None:
    body = between.join(write_json(record, " ") for record in several)
    formatted = format_answer(fence.format("\0").replace("\0", body), "json")
    assert (parse_printed(formatted.text), formatted.problems) == (printed(several), ())


@drawn
@given(record=records, data=st.data())
def test_a_record_that_is_cut_is_told_and_kept(record, data: st.DataObject) -> None:
    whole = write_json(record, " ")
    cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
    formatted = format_answer(cut, "json")
    assert not formatted.fits
    assert "breaks off" in formatted.problem
    assert formatted.text == cut.strip()
