"""What an answer to "read this" is turned into: text, Markdown, JSON or CSV, checked.

Knows the formats and how networks miss them; knows neither the network nor the page. Nothing is
made up: what does not fit its format is given as it is, with the reason.
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
MOST_BEGINS: Final = 20  # brackets in a text that may begin its JSON
MARKDOWN: Final = MarkdownIt("commonmark").enable("table")

Rows = list[list[str]]


@dataclass(frozen=True)
class Formatted:
    """An answer in its format. problem says why it is not in it, and then text is the answer's.

    Where the answer is only a remark that there is no text, that is the problem, and text is empty.
    """

    text: str
    output_format: OutputFormat
    problem: str | None = None


def format_answer(answer: str, output_format: OutputFormat) -> Formatted:
    """Clean a whole answer and bring it to a format; see clean_answer for what is taken off."""
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
    """Read an answer's JSON object, or list of objects; lines of `key: value` count as one."""
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
    """The first JSON object, or list of objects, in a text; else the first list or empty object.

    A name that stands twice gets a list of its values. Raises ValueError where there is none.
    """
    decoder = json.JSONDecoder(object_pairs_hook=join_pairs, parse_constant=refuse_constant)
    problem, other, at = ValueError("there is no object in it"), None, 0
    for begin in [found.start() for found in re.finditer(r"[{\[]", text)][:MOST_BEGINS]:
        if begin < at:
            continue  # within a value that was read, or that breaks off
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


def join_pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of pairs in which nothing is lost: the values of a repeated name become a list."""
    grouped: dict[str, list[Any]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}


def refuse_constant(name: str) -> NoReturn:
    """Raise ValueError: NaN and Infinity are no JSON."""
    raise ValueError(f"{name} is no JSON value")


def read_pairs(text: str) -> dict[str, Any] | None:
    """Lines of `name: value`, also as Markdown (`- **name:** value`); None where one is not."""
    pairs = []
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = line.strip().lstrip("-*• ").partition(":")
        name = name.strip(" *\t")
        if not colon or not name or len(name) > 80 or name.startswith(("{", "[", '"')):
            return None
        pairs.append((name, value.strip(" *\t")))
    return join_pairs(pairs) if pairs else None


def is_record(value: object) -> bool:
    """Whether a JSON value is an object with something in it, or a list of such objects."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(part, dict) and part for part in value)
    return isinstance(value, dict) and bool(value)


def describe_json(value: object) -> Text:
    """What a JSON value is, in words."""
    if isinstance(value, list):
        return Text("a list of other things than objects") if value else Text("an empty list")
    return Text("an empty object")


def explain_json(text: str, error: Exception) -> Text:
    """Say why a text is no JSON and what to do."""
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
    """Write an answer's tables, Markdown or comma-separated, as CSV; a blank line parts tables."""
    tables = read_markdown_tables(text) or [read_csv(text)]
    pieces = []
    for table in tables:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(table)
        pieces.append(buffer.getvalue())
    return Formatted("\n".join(pieces), "csv", explain_rows(tables))


def read_markdown_tables(text: str) -> list[Rows]:
    """The cells of each Markdown table in a text, row by row, header first."""
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
    """The rows of comma-separated text, empty lines left out."""
    try:
        rows = list(csv.reader(io.StringIO(text), skipinitialspace=True, strict=True))
    except csv.Error:  # a quotation mark that is none of CSV's, such as inches
        rows = list(csv.reader(io.StringIO(text), quoting=csv.QUOTE_NONE))
    return [row for row in rows if any(cell.strip() for cell in row)]


def explain_rows(tables: Sequence[Rows]) -> Text | None:
    """Say where a table has a row of another length than its first; None where none has."""
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
