"""Converts transcriptions to text, Markdown, JSON or CSV and validates them.

Knows the formats and the mistakes that models make in them; must not know the model or the page.
Nothing is invented: an answer that does not fit its format is returned unchanged, with the reason.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal, NoReturn, get_args

from markdown_it import MarkdownIt

from phi3v.results.cleaning import clean_answer, is_refusal
from phi3v.translatable import Text

OutputFormat = Literal["text", "markdown", "json", "csv"]
FORMATS: Final[tuple[OutputFormat, ...]] = get_args(OutputFormat)
SUFFIXES: Final[dict[OutputFormat, str]] = {
    "text": ".txt",
    "markdown": ".md",
    "json": ".json",
    "csv": ".csv",
}
MAX_JSON_STARTS: Final = 20  # brackets in a text at which JSON parsing is tried
MARKDOWN: Final = MarkdownIt("commonmark").enable("table")

Rows = list[list[str]]


@dataclass(frozen=True)
class Formatted:
    """An answer in its output format; or, with a problem, its text and why it does not fit.

    For a refusal (the model says that there is no text), text is empty and problem quotes it.
    """

    text: str
    output_format: OutputFormat
    problem: str | None = None


def format_answer(answer: str, output_format: OutputFormat) -> Formatted:
    """Convert a whole answer to a format, after clean_answer removed its commentary."""
    text = clean_answer(answer)
    if is_refusal(text):
        problem = Text("The model read no text; it says: {says}", says=text)
        return Formatted("", output_format, problem)
    if output_format == "json":
        return format_json(text)
    if output_format == "csv":
        return format_csv(text)
    return Formatted(text, output_format)


def format_json(text: str) -> Formatted:
    """Return an answer's JSON object, or list of objects; `key: value` lines become an object."""
    try:
        value = read_json(text)
    except (ValueError, RecursionError) as error:
        value = read_pairs(text)
        if value is None:
            return Formatted(text, "json", explain_json(text, error))
    if not is_record(value):
        problem = Text(
            "The answer is {found}, and names with values were asked for: ask again, or choose "
            "another format.",
            found=describe_json(value),
        )
        return Formatted(text, "json", problem)
    return Formatted(json.dumps(value, ensure_ascii=False, indent=2), "json")


def read_json(text: str) -> Any:
    """Return the first JSON object, or list of objects, in a text; else the last other value.

    A repeated name gets a list of its values. Raises ValueError if the text has no JSON.
    """
    decoder = json.JSONDecoder(object_pairs_hook=group_pairs, parse_constant=reject_constant)
    problem, other, at = ValueError("there is no object in it"), None, 0
    for begin in [found.start() for found in re.finditer(r"[{\[]", text)][:MAX_JSON_STARTS]:
        if begin < at:
            continue  # inside a value that was parsed or is invalid
        try:
            value, at = decoder.raw_decode(text, begin)
        except json.JSONDecodeError as error:
            problem, at = (problem if at else error), error.pos
            continue
        if is_record(value):
            return value
        other = value
    if other is None:
        raise problem
    return other


def group_pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dict of all pairs; the values of a repeated name become a list."""
    grouped: dict[str, list[Any]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}


def reject_constant(name: str) -> NoReturn:
    """Raise ValueError: NaN and Infinity are not valid JSON."""
    raise ValueError(f"{name} is no JSON value")


def read_pairs(text: str) -> dict[str, Any] | None:
    """Parse lines of `name: value`, also in Markdown (`- **name:** value`).

    None if any line is not one.
    """
    pairs = []
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = line.strip().lstrip("-*• ").partition(":")
        name = name.strip(" *\t")
        if not colon or not name or len(name) > 80 or name.startswith(("{", "[", '"')):
            return None
        pairs.append((name, value.strip(" *\t")))
    return group_pairs(pairs) if pairs else None


def is_record(value: object) -> bool:
    """True if a JSON value is a non-empty object or a list of them."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(part, dict) and part for part in value)
    return isinstance(value, dict) and bool(value)


def describe_json(value: object) -> Text:
    """Return the words for a JSON value that is not a record."""
    if isinstance(value, list):
        return Text("a list of other things than objects") if value else Text("an empty list")
    return Text("an empty object")


def explain_json(text: str, error: Exception) -> Text:
    """Return the message for a text that is not JSON: the reason and what to do."""
    if text.lstrip().startswith(("{", "[")) and not text.rstrip().endswith(("}", "]")):
        return Text(
            "The JSON breaks off after {count} characters: continue the answer, or allow a "
            "longer one (max_new_tokens).",
            count=len(text),
        )
    if isinstance(error, json.JSONDecodeError):
        return Text(
            "The answer is no JSON (line {line}): ask again, or choose another format.",
            line=error.lineno,
        )
    return Text("The answer is no JSON: ask again, or choose another format.")


def format_csv(text: str) -> Formatted:
    """Convert an answer's Markdown tables, or comma-separated text, to CSV.

    An empty line separates tables.
    """
    tables = read_markdown_tables(text) or [read_csv(text)]
    pieces = []
    for table in tables:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(table)
        pieces.append(buffer.getvalue())
    return Formatted("\n".join(pieces), "csv", explain_rows(tables))


def read_markdown_tables(text: str) -> list[Rows]:
    """Return the cells of each Markdown table in a text, row by row, header first."""
    tables: list[Rows] = []
    tokens = MARKDOWN.parse(text)
    for token, content in pairwise(tokens):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type in ("th_open", "td_open"):
            cell = content.content.replace("<br>", "\n").replace("<br/>", "\n")
            tables[-1][-1].append(cell)
    return tables


def read_csv(text: str) -> Rows:
    """Return the rows of comma-separated text without empty ones."""
    try:
        rows = list(csv.reader(io.StringIO(text), skipinitialspace=True, strict=True))
    except csv.Error:  # a quotation mark in a cell, such as for inches
        rows = list(csv.reader(io.StringIO(text), quoting=csv.QUOTE_NONE))
    return [row for row in rows if any(cell.strip() for cell in row)]


def explain_rows(tables: Sequence[Rows]) -> Text | None:
    """Return the message for the first row whose length differs from its table's first row.

    None if all rows of a table are equally long.
    """
    if not any(tables):
        return Text("The answer has no table: ask again, or choose another format.")
    for table in tables:
        for number, row in enumerate(table, 1):
            if len(row) != len(table[0]):
                return Text(
                    "Row {number} has {count} cells and the first row {first}: look at that row, "
                    "and correct it by hand.",
                    number=number,
                    count=len(row),
                    first=len(table[0]),
                )
    return None
