"""Converts transcriptions to text, Markdown, JSON or CSV, and says what does not fit.

Knows the formats; phi3v.results.records and tables read them as models write them. Must not know
the model or the page. Nothing is invented, and nothing is lost in silence: an answer that does not
fit its format is returned unchanged, with the reason; a row or line that is odd is named.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from phi3v.results.cleaning import clean_answer, is_refusal
from phi3v.results.fences import split_fences
from phi3v.results.markdown_tables import read_pipe_tables
from phi3v.results.records import explain_half, read_records, write_record
from phi3v.results.rows import Rows
from phi3v.results.tables import explain_rows, read_tables
from phi3v.translatable import Text, join_texts

OutputFormat = Literal["text", "markdown", "json", "csv"]
FORMATS: Final[tuple[OutputFormat, ...]] = get_args(OutputFormat)
SUFFIXES: Final[dict[OutputFormat, str]] = {
    "text": ".txt",
    "markdown": ".md",
    "json": ".json",
    "csv": ".csv",
}
HALF: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Formatted:
    """An answer in its output format; or, if it does not fit, its text and why.

    value is what was read: JSON with its Numbers (see phi3v.results.records), or a list of tables.
    Each problem names its row or line; where `fits` is True, they are to be looked at only. For a
    refusal (the model says that there is no text), text is empty and the problem quotes it.
    """

    text: str
    output_format: OutputFormat
    problems: tuple[Text, ...] = ()
    fits: bool = True
    value: Any = None

    @property
    def problem(self) -> Text | None:
        """All problems in one text, which can be translated; None without any."""
        return join_texts(self.problems, " ") if self.problems else None


def format_answer(answer: str, output_format: OutputFormat) -> Formatted:
    """Convert a whole answer to a format, after clean_answer removed its commentary."""
    answer = answer.replace("\r\n", "\n").replace("\r", "\n")
    text = clean_answer(answer)
    if is_refusal(text):
        problem = Text("The model read no text; it says: {says}", says=text)
        return Formatted("", output_format, (problem,), fits=False)
    text, halves = replace_halves(text)
    if output_format == "json":
        return format_json(text, halves)
    if output_format == "csv":
        # a fence says that what is in it is no prose
        has_fence = any(section.is_fenced for section in split_fences(answer))
        source = replace_halves(answer)[0]
        return format_csv(text, source if has_fence else find_lines(source, text), halves)
    if output_format == "markdown":
        return format_markdown(text, halves)
    return Formatted(text, output_format, tuple(halves))


def replace_halves(text: str) -> tuple[str, list[Text]]:
    """Return a text that can be written to a file, and a problem for each line that could not.

    Halves of a surrogate pair become their character if they are together, else U+FFFD.
    """
    if HALF.search(text) is None:
        return text, []
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    lines = {whole.count("\n", 0, half.start()) + 1 for half in HALF.finditer(whole)}
    return HALF.sub("\ufffd", whole), [explain_half(line) for line in sorted(lines)]


def find_lines(answer: str, text: str) -> str:
    """Return the whole lines of a cleaned text in its answer: with tabs around empty cells."""
    at = answer.find(text)
    begin = answer.rfind("\n", 0, max(0, at)) + 1
    end = answer.find("\n", at + len(text))
    end = len(answer) if end < 0 else end
    is_whole = at >= 0 and answer[begin:end].strip() == text.strip()
    return answer[begin:end] if is_whole else text


def format_json(text: str, problems: Sequence[Text]) -> Formatted:
    """Return an answer's JSON object, or list of objects; `key: value` lines become an object."""
    try:
        read = read_records(text)
        found = (*problems, *read.problems)
        if read.value is None:
            return Formatted(text, "json", found, fits=False)
        return Formatted(write_record(read.value), "json", found, value=read.value)
    except RecursionError:
        problem = Text("The JSON is nested too deeply: ask again, or choose another format.")
        return Formatted(text, "json", (*problems, problem), fits=False)


def format_csv(text: str, source: str, problems: Sequence[Text]) -> Formatted:
    """Convert the tables of `source`, however they are written, to CSV with a blank line between.

    Without a table, the text is returned.
    """
    read = read_tables(source)
    if not any(read.tables):
        problem = Text("The answer has no table: ask again, or choose another format.")
        return Formatted(text, "csv", (*problems, problem), fits=False)
    pieces = []
    for table in read.tables:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(table)
        pieces.append(buffer.getvalue())
    found = (*problems, *read.problems)
    return Formatted("\n".join(pieces), "csv", found, value=read.tables)


def format_markdown(text: str, problems: Sequence[Text]) -> Formatted:
    """Return Markdown as it is; it does not fit if a viewer would drop cells of its tables."""
    tables: list[Rows] = []
    for section in split_fences(text):
        if not section.is_fenced:
            tables += [table.rows for table in read_pipe_tables(section.lines) if table.has_rule]
    ragged = explain_rows(tables)
    return Formatted(text, "markdown", (*problems, *ragged), fits=not ragged)
