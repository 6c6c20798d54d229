"""Answers are converted to text, Markdown, JSON and CSV, or returned with the reason."""

import csv
import io
import json

import pytest

from phi3v.results.formats import FORMATS, SUFFIXES, Formatted, format_answer

TABLE = "| Year | Revenue |\n|------|---------|\n| 2022 | 1,234 |\n| 2023 | 5 \\| 6 |"


def rows(formatted: Formatted) -> list[list[str]]:
    return list(csv.reader(io.StringIO(formatted.text)))


def test_every_format_has_a_file_suffix() -> None:
    assert set(SUFFIXES) == set(FORMATS)


def test_text_is_cleaned() -> None:
    assert format_answer("The text in the image is: STOP", "text") == Formatted("STOP", "text")


def test_markdown_keeps_its_table() -> None:
    assert format_answer(f"```markdown\n{TABLE}\n```", "markdown").text == TABLE


@pytest.mark.parametrize(
    "answer",
    [
        '{"name": "Ann", "age": 7}',
        'Here is the information in JSON format:\n```json\n{"name": "Ann", "age": 7}\n```',
        '[1] has {"name": "Ann", "age": 7}',
        'I see: {"name": "Ann", "age": 7} and nothing else.',
    ],
)
def test_json_is_extracted_and_validated(answer: str) -> None:
    formatted = format_answer(answer, "json")
    assert json.loads(formatted.text) == {"name": "Ann", "age": 7}
    assert formatted.problem is None


def test_lines_of_names_and_values_become_json() -> None:
    formatted = format_answer("- **Name:** Ann\n- Time: 12:30\nאדם: שלום", "json")
    assert json.loads(formatted.text) == {"Name": "Ann", "Time": "12:30", "אדם": "שלום"}
    assert "אדם" in formatted.text


def test_a_repeated_name_keeps_both_values() -> None:
    formatted = format_answer('{"item": "tea", "item": "milk"}', "json")
    assert json.loads(formatted.text) == {"item": ["tea", "milk"]}


def test_a_list_of_objects_is_accepted_as_json() -> None:
    assert format_answer('[{"a": 1}, {"a": 2}]', "json").problem is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("No names here", "no JSON"),
        ('{"name": "Ann", "ag', "breaks off after"),
        ('{"name": NaN}', "no JSON"),
        ('{"name": "Ann" "age": 7}', "line 1"),
        ("[1, 2]", "a list of other things"),
        ("17 and more", "no JSON"),
        ('{"a": {"b": 1}, "c', "breaks off"),
        ("{}", "an empty object"),
        ("", "JSON"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_invalid_json_is_returned_with_the_reason(answer: str, reason: str) -> None:
    formatted = format_answer(answer, "json")
    assert formatted.text == answer
    assert reason in (formatted.problem or "")


def test_a_markdown_table_becomes_csv() -> None:
    formatted = format_answer(f"Here is the table from the image:\n\n{TABLE}", "csv")
    assert rows(formatted) == [["Year", "Revenue"], ["2022", "1,234"], ["2023", "5 | 6"]]
    assert formatted.problem is None


def test_quotation_marks_within_cells_are_kept() -> None:
    formatted = format_answer('```csv\nname,size\n"Ann" Bo,12"\n```', "csv")
    assert rows(formatted) == [["name", "size"], ['"Ann" Bo', '12"']]


def test_csv_with_quoted_commas_keeps_its_cells() -> None:
    assert rows(format_answer('name, size\n"Ann, Bo", 12\n', "csv"))[1] == ["Ann, Bo", "12"]


def test_two_tables_are_separated_by_an_empty_line() -> None:
    formatted = format_answer(f"{TABLE}\n\nand\n\n{TABLE}", "csv")
    assert rows(formatted).count(["Year", "Revenue"]) == 2
    assert [] in rows(formatted)


def test_a_row_of_another_length_is_reported() -> None:
    assert "Row 3 has 1 cells and the first row 2" in format_answer("a,b\n1,2\n3", "csv").problem


def test_an_empty_answer_has_no_table() -> None:
    assert "no table" in format_answer(" ", "csv").problem


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_refusal_becomes_a_problem_without_text(output_format) -> None:
    formatted = format_answer("There is no text in this picture.", output_format)
    assert formatted.text == ""
    assert "read no text; it says: There is no text" in formatted.problem
