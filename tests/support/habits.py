"""Tables and records drawn at random, and written as models write them."""

import csv
import html
import io
import json
import os
from dataclasses import dataclass

from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

# Examples per property: few in the suite, and always the same ones.
EXAMPLES = int(os.environ.get("PHI3V_EXAMPLES", "30"))
drawn = settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES <= 1000,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

LETTERS = "abcXYZ äßéñ שלוםעברית سلامفارسی 東京 0123456789 .,;:-'\"%$€/()[]{}&<>|*#_+=~`!?@\\"
WORDS = [
    "Tea",
    "1,234.50",
    "12.50",
    "-",
    "",
    "5 | 6",
    '12"',
    "a, b",
    "שלום",
    "R&D",
    "<none>",
    "N/A",
]
WORDS += [
    "10<sup>2</sup>",
    "x\ny",
    "(3)",
    "١٢٣",
    "₪ 1,200",
    "50 %",
    '"quoted"',
    "it's",
    "--",
    "2024",
]
INTRODUCTIONS = [
    "",
    "Here is the table from the image:\n\n",
    "Below is the table you asked for:\n\n",
    "Sure! The picture shows a price list of a shop.\n\n",
    "Table:\n",
]
ENDINGS = ["", "\n\nI hope this helps!", "\n\nLet me know if you need anything else, please.", "\n"]


def tidy(cell: str) -> str:
    """Return a cell as a reader strips it."""
    return "\n".join(" ".join(line.split()) for line in cell.strip().split("\n"))


cells = st.one_of(
    st.sampled_from(WORDS),
    st.from_regex(r"[1-9][0-9]{0,2}(,[0-9]{3}){0,2}(\.[0-9]{1,3})?", fullmatch=True),
    st.text(LETTERS, max_size=12),
).map(tidy)


@dataclass(frozen=True)
class Written:
    """A drawn table, as text, and the line (from 1) where each row begins."""

    rows: list[list[str]]
    text: str
    is_regular: bool  # rows of equal length, with everything escaped


@st.composite
def tables(draw: st.DrawFn, is_ragged: bool) -> list[list[str]]:
    """Draw rows of cells; a ragged table has rows of any length."""
    width = draw(st.integers(2, 5))
    count = draw(st.integers(2, 6))
    least, most = (1, 6) if is_ragged else (width, width)
    return [draw(st.lists(cells, min_size=least, max_size=most)) for _ in range(count)]


def write_markdown(rows: list[list[str]], rule: str, border: bool) -> str:
    """Write a Markdown table; rule is "", "short" or "whole"."""
    lines = []
    for row in rows:
        escaped = [cell.replace("|", "\\|").replace("\n", "<br />") for cell in row]
        line = " | ".join(escaped)
        lines.append(f"| {line} |" if border else line)
    width = len(rows[0]) - (1 if rule == "short" and len(rows[0]) > 1 else 0)
    if rule:
        lines.insert(1, "|" + "|".join(["---"] * width) + "|")
    return "\n".join(lines)


def write_html(rows: list[list[str]], closes: bool) -> str:
    """Write an HTML table, with or without the tags that may be left out."""
    written = []
    for number, row in enumerate(rows):
        tag = "td" if number else "th"
        end = f"</{tag}>" if closes else ""
        parts = [f"<{tag}>{html.escape(cell).replace(chr(10), '<BR>')}{end}" for cell in row]
        written.append("<tr>" + "".join(parts) + ("</tr>" if closes else ""))
    return "<table>\n" + "\n".join(written) + "\n</table>"


def write_separated(rows: list[list[str]], delimiter: str) -> str:
    """Write separated values, quoted where needed."""
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return buffer.getvalue().rstrip("\n")


def write_plainly(rows: list[list[str]], delimiter: str) -> str:
    """Write separated values without any quotation marks."""
    return "\n".join(delimiter.join(cell.replace("\n", " ") for cell in row) for row in rows)


FENCES = ["{}", "```\n{}\n```", "```markdown\n{}\n```", "~~~\n{}\n~~~"]


@st.composite
def answers(draw: st.DrawFn, kind: str, is_ragged: bool) -> tuple[list[list[str]], str]:
    """Draw a table and an answer in which it is written in a kind's way."""
    rows = draw(tables(is_ragged))
    if kind == "rule-less" and not is_ragged:  # such a row is a rule
        assume(not all(cell.strip("-") == "" and cell for cell in rows[1]))
    if kind == "borderless":  # a blank line is no row
        assume(all(any(map(str.strip, row)) for row in rows))
    if kind == "markdown":
        body = write_markdown(rows, "whole", border=True)
    elif kind == "rule-less":
        body = write_markdown(rows, "", border=True)
    elif kind == "short rule":
        body = write_markdown(rows, "short", border=True)
    elif kind == "borderless":
        body = write_markdown(rows, "whole", border=False)
    elif kind == "html":
        body = write_html(rows, closes=draw(st.booleans()))
    elif kind == "tsv":
        body = write_separated(rows, "\t")
    elif kind == "csv":
        body = f"```csv\n{write_separated(rows, ',')}\n```"
    elif kind == "bare csv":
        body = write_separated(rows, ",")
    else:
        body = write_plainly(rows, ",")
    if kind not in ("csv", "bare csv", "plain csv"):
        body = draw(st.sampled_from(FENCES)).format("\0").replace("\0", body)
    return rows, draw(st.sampled_from(INTRODUCTIONS)) + body + draw(st.sampled_from(ENDINGS))


numbers = st.from_regex(
    r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?", fullmatch=True
)
names = st.text("abcNIדהס نام _-12", min_size=1, max_size=8)


@dataclass(frozen=True)
class Lexeme:
    """A number as it is printed."""

    text: str


values = st.recursive(
    st.one_of(
        st.text(LETTERS + "\n\t", max_size=12), numbers.map(Lexeme), st.booleans(), st.none()
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
records = st.dictionaries(names, values, min_size=1, max_size=4)


def write_json(value: object, gap: str) -> str:
    """Write JSON, with numbers as they are; gap is the blank after commas and colons."""
    if isinstance(value, Lexeme):
        return value.text
    if isinstance(value, dict):
        pairs = [
            f"{json.dumps(k, ensure_ascii=False)}:{gap}{write_json(v, gap)}"
            for k, v in value.items()
        ]
        return "{" + f",{gap}".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + f",{gap}".join(write_json(part, gap) for part in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def printed(value: object) -> object:
    """Return a drawn value with its numbers as they are printed, marked."""
    if isinstance(value, Lexeme):
        return f"number {value.text}"
    if isinstance(value, dict):
        return {name: printed(part) for name, part in value.items()}
    return [printed(part) for part in value] if isinstance(value, list) else value


def parse_printed(text: str) -> object:
    """Return JSON with its numbers as they are printed, marked as in `printed`."""

    def mark(number: str) -> str:
        return f"number {number}"

    return json.loads(text, parse_float=mark, parse_int=mark, parse_constant=None)
