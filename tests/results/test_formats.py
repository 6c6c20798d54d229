"""Answers are converted to text, Markdown, JSON and CSV, or returned with the reason."""

import csv
import io
import json

import pytest

from phi3v.results.formats import FORMATS, SUFFIXES, Formatted, format_answer
from phi3v.results.records import show_numbers

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


SHORT = "| a | b |\n|---|---|\n| 1 | 2 |"
# Answers of models, and the rows that they say.
WRITTEN = {
    "a row of surplus cells": (
        "| a | b |\n|---|---|\n| 1 | 2 | 3 |",
        [["a", "b"], ["1", "2", "3"]],
    ),
    "a row of too few cells": ("| a | b |\n|---|---|\n| 1 |", [["a", "b"], ["1"]]),
    "no rule": ("| a | b |\n| 1 | 2 |", [["a", "b"], ["1", "2"]]),
    "a short rule": ("| a | b | c |\n|---|---|\n| 1 | 2 | 3 |", [["a", "b", "c"], ["1", "2", "3"]]),
    "no outer pipes": ("a | b\n1 | 2", [["a", "b"], ["1", "2"]]),
    "a rule and no header": ("|---|---|\n| 1 | 2 |", [["1", "2"]]),
    "blank lines between rows": ("| a | b |\n\n| 1 | 2 |", [["a", "b"], ["1", "2"]]),
    "a cell of two lines": ("| a | b |\n|---|---|\n| 1\n2 | 3 |", [["a", "b"], ["1\n2", "3"]]),
    "an ASCII box": (
        "+---+---+\n| a | b |\n+===+===+\n| 1 | 2 |\n+---+---+",
        [["a", "b"], ["1", "2"]],
    ),
    "a drawn box": (
        "┌───┬───┐\n│ a │ b │\n├───┼───┤\n│ 1 │ 2 │\n└───┴───┘",
        [["a", "b"], ["1", "2"]],
    ),
    "line breaks": (
        "| a<br />b | c<BR>d |\n|---|---|\n| e</br>f | g <br clear='all'> h |",
        [["a\nb", "c\nd"], ["e\nf", "g\nh"]],
    ),
    "HTML": (
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2<BR>3</td></tr></table>",
        [["a", "b"], ["1", "2\n3"]],
    ),
    "HTML that leaves tags open": (
        "<table><tr><th>a<th>b<tr><td>1<td>2</table>",
        [["a", "b"], ["1", "2"]],
    ),
    "HTML with spans": (
        "<table><tr><td colspan=2>a</td></tr><tr><td rowspan=2>1</td><td>2</td></tr>"
        "<tr><td>3</td></tr></table>",
        [["a", ""], ["1", "2"], ["", "3"]],
    ),
    "HTML with text that is no tag": (
        "<table><tr><td><none></td><td>10<sup>2</sup></td></tr></table>",
        [["<none>", "10<sup>2</sup>"]],
    ),
    "HTML with text beside cells": ("<table><tr>a<td>b</td></tr></table>", [["a", "b"]]),
    "tabs": ("a\tb\n1\t2,5", [["a", "b"], ["1", "2,5"]]),
    "tabs around an empty cell": ("\tb\n1\t", [["", "b"], ["1", ""]]),
    "semicolons": ("a;b\n1;2,5", [["a", "b"], ["1", "2,5"]]),
    "a fence after words": (
        f"Below is what you asked for:\n\n```markdown\n{SHORT}\n```",
        [["a", "b"], ["1", "2"]],
    ),
    "a fence of one column": ("```csv\nItem\nTea\n```", [["Item"], ["Tea"]]),
    "words around": (
        f"The picture shows a table, as it seems.\n\n{SHORT}\n\nIt has one row.",
        [["a", "b"], ["1", "2"]],
    ),
    "words above and below commas": (
        "Here it is:\na,b\n1,2\n3,4\n\nLet me know if you need more.",
        [["a", "b"], ["1", "2"], ["3", "4"]],
    ),
    "blank lines between commas": ("a,b\n\n1,2\n\n3,4", [["a", "b"], ["1", "2"], ["3", "4"]]),
    "a blank line in a quoted cell": ('a,"b\n\nc"\n1,2', [["a", "b\n\nc"], ["1", "2"]]),
    "old line ends": ("a,b\r1,2\r", [["a", "b"], ["1", "2"]]),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_a_table_is_read_in_whatever_way_it_is_written(way: str) -> None:
    answer, expected = WRITTEN[way]
    formatted = format_answer(answer, "csv")
    assert rows(formatted) == expected
    assert formatted.fits
    assert bool(formatted.problems) == (len({*map(len, expected)}) > 1)


@pytest.mark.parametrize(
    "answer",
    [
        "I am sorry, there is no table in this picture.",
        "Roses are red, violets are blue, and the sky too.\nIt rains, as we all know, on Mondays.",
        "Home | About",
        "The value |x| is not known.",
        "Nothing here",
        "| |",
        "",
    ],
)
def test_prose_is_no_table_and_stays_as_it_is(answer: str) -> None:
    formatted = format_answer(answer, "csv")
    assert (formatted.text, formatted.fits) == (answer, False)
    assert "no table" in formatted.problem or "read no text" in formatted.problem


def test_every_ragged_row_is_named_with_its_table() -> None:
    first, second = "| a | b |\n|---|---|\n| 1 |\n| 1 | 2 | 3 |", "| c |\n|---|\n| 4 | 5 |"
    problems = format_answer(f"{first}\n\nand\n\n{second}", "csv").problems
    assert [(p.values["table"], p.values["number"]) for p in problems] == [(1, 2), (1, 3), (2, 2)]


def test_a_line_like_a_row_that_is_in_no_table_is_quoted() -> None:
    (problem,) = format_answer(f"{SHORT}\n\nTotal | 3", "csv").problems
    assert "Line 5 is in no table and is left out: Total | 3" in problem


def test_a_row_of_dashes_taken_for_a_rule_is_named() -> None:
    (problem,) = format_answer("| a | b |\n| - | - |\n| 1 | 2 |", "csv").problems
    assert "Row 2 has nothing but dashes" in problem


def test_an_html_table_that_breaks_off_says_so() -> None:
    formatted = format_answer("<table><tr><td>a</td></tr><tr><td>b", "csv")
    assert rows(formatted) == [["a"], ["b"]]
    assert "breaks off in row 2" in formatted.problem


def test_a_very_long_cell_is_kept() -> None:
    assert rows_of_long(200_000) == [["a", "x" * 200_000], ["1", "2"]]


def rows_of_long(length: int) -> list[list[str]]:
    return format_answer(f"```csv\na,{'x' * length}\n1,2\n```", "csv").value[0]


def test_markdown_whose_viewer_would_drop_a_cell_is_named_and_does_not_fit() -> None:
    answer = "| a | b |\n|---|---|\n| 1 | 2 | 398.08 |"
    formatted = format_answer(answer, "markdown")
    assert (formatted.text, formatted.fits) == (answer, False)
    assert "Row 2 has 3 cells" in formatted.problem


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"a": "1"}\n{"a": "2"}', [{"a": "1"}, {"a": "2"}]),
        ('{"a": "1"} and {"a": "2"}', [{"a": "1"}, {"a": "2"}]),
        ('[{"a": "1"}]\n[{"a": "2"}, {"a": "3"}]', [{"a": "1"}, {"a": "2"}, {"a": "3"}]),
        ('```json\n{"a": "1"}\n```\n\n```json\n{"a": "2"}\n```', [{"a": "1"}, {"a": "2"}]),
        ("\n".join(f'{{"a": "{n}"}}' for n in range(99)), [{"a": str(n)} for n in range(99)]),
    ],
)
def test_several_objects_become_a_list(answer: str, expected: list) -> None:
    formatted = format_answer(answer, "json")
    assert (json.loads(formatted.text), formatted.problems) == (expected, ())


def test_an_object_that_cannot_be_read_does_not_vanish_beside_others() -> None:
    answer = '{"a": "1"}\n{"a": oops}\n{"a": "3"}'
    formatted = format_answer(answer, "json")
    assert (formatted.text, formatted.fits) == (answer, False)
    assert "line 2" in formatted.problem


def test_a_list_beside_a_record_is_named() -> None:
    formatted = format_answer('{"a": "1"}\n["b", "c"]', "json")
    assert "Line 2 is left out, it is a list of other things" in formatted.problem


@pytest.mark.parametrize(
    "number", ["12.50", "12345678901234567.25", "1e400", "-0.0", "1E-7", "9" * 30]
)
def test_numbers_stay_as_printed(number: str) -> None:
    formatted = format_answer(f'{{"n": [{number}]}}', "json")
    assert formatted.text == f'{{\n  "n": [\n    {number}\n  ]\n}}'
    assert formatted.problems == ()


@pytest.mark.parametrize(
    ("number", "shown"),
    [("7", 7), ("-2.5", -2.5), ("12.50", "12.50"), ("1e400", "1e400"), ("9" * 17, "9" * 17)],
)
def test_a_number_that_a_browser_would_change_is_shown_as_text(number: str, shown: object) -> None:
    assert show_numbers(format_answer(f'{{"n": {number}}}', "json").value) == {"n": shown}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused_by_its_name_and_line(value: str) -> None:
    formatted = format_answer(f'{{"a": 1,\n"b": {value}}}', "json")
    assert not formatted.fits
    assert f"has {value}, which is no JSON" in formatted.problem


@pytest.mark.parametrize(
    "cut",
    [
        '{"items":[{"a":"1"},{"a":"2"}]',
        '[{"a": 1}, {"a": 2}',
        '{"a": "see [1]',
        '{"a": "x\\',
        '{"a": "\\u12',
        '{"a": tr',
        '{"a": -',
        '{"a"',
        "{",
        'Here it is: {"a": 1,',
        '```json\n{"a": 1,\n```',
        '{"a": "1"}\n{"a": "2',
    ],
)
def test_json_that_breaks_off_is_told_from_none(cut: str) -> None:
    formatted = format_answer(cut, "json")
    assert not formatted.fits
    assert "breaks off after" in formatted.problem


@pytest.mark.parametrize(
    "answer", ["No names [see below]", "a {b} c", '{"a": 1 "b": 2}', "{'a': 1}"]
)
def test_what_is_no_json_is_not_said_to_break_off(answer: str) -> None:
    assert "is no JSON" in format_answer(answer, "json").problem


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"\frac{1}{2}", r"\frac{1}{2}"),
        (r"\beta + \alpha", r"\beta + \alpha"),
        (r"2 \times \theta", r"2 \times \theta"),
        (r"\text{kg} \right)", r"\text{kg} \right)"),
        (r"\\frac{1}{2}", r"\frac{1}{2}"),
        (r"C:\temp\new\folder", r"C:\temp\new\folder"),
        (r"C:\\temp", r"C:\temp"),
        (r"\d+\s", r"\d+\s"),
        (r"line\nnext\tcell", "line\nnext\tcell"),
        (r"a \"quoted\" word\/", 'a "quoted" word/'),
        (r"\u05d0\ud83d\ude00", "א😀"),
    ],
)
def test_a_backslash_is_the_one_that_is_printed(written: str, meant: str) -> None:
    formatted = format_answer(f'{{"a": "{written}", "b": 1}}', "json")
    assert json.loads(formatted.text) == {"a": meant, "b": 1}


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"\ud83d x \ude00"])
def test_half_a_character_never_reaches_a_file(half: str) -> None:
    formatted = format_answer(f'{{"a": 1,\n"b": "{half}"}}', "json")
    assert "\ufffd" in formatted.text
    assert "Line 2 has half a character" in formatted.problem
    formatted.text.encode()


@pytest.mark.parametrize("output_format", FORMATS)
def test_half_a_character_in_an_answer_is_replaced_in_every_format(output_format) -> None:
    formatted = format_answer("a,b\n1,\ud83d", output_format)
    formatted.text.encode()
    assert "\ufffd" in formatted.text
    assert "Line 2 has half a character" in formatted.problem


def test_json_nested_too_deeply_is_returned_with_the_reason() -> None:
    answer = '{"a":' * 900 + "1" + "}" * 900
    formatted = format_answer(answer, "json")
    assert formatted.fits or "nested too deeply" in formatted.problem


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_refusal_becomes_a_problem_without_text(output_format) -> None:
    formatted = format_answer("There is no text in this picture.", output_format)
    assert formatted.text == ""
    assert "read no text; it says: There is no text" in formatted.problem
