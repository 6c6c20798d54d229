r"""Reads the JSON in an answer and writes it, numbers as they are printed.

Models write LaTeX and paths with single backslashes (\frac is no form feed), one object per line,
and names with values without any braces. Must not know output formats or cleaning.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from phi3v.translatable import Text

# Brackets at which reading fails; more are prose or code, and each costs a pass over the text.
MOST_FAILURES: Final = 200
MOST_NAME: Final = 80  # characters before a colon that are still a name
# What may follow the place where JSON that breaks off cannot be read: a piece of a word or number.
CUT_TOKEN: Final = re.compile(r"[\w.+\-\\]*\s*")
BREAKS_OFF: Final = "Unterminated string"  # how the decoder's message begins

STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)', re.DOTALL)
ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|u[0-9a-fA-F]{4}|.|\Z)", re.DOTALL
)
HALF: Final = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
# Commands of LaTeX that begin as an escape does: \b and \f before any letter, and these.
COMMAND: Final = re.compile(
    r"(?:[bf][A-Za-z]|n(?:abla|eq|eg|ot(?:in)?|u|i)(?![A-Za-z])"
    r"|r(?:ho|ight(?:arrow)?|angle|floor|ceil)(?![a-z])"
    r"|t(?:imes|heta|au|ilde|riangle|op|o(?= |\\)|(?:an|anh)(?=[ ({^\\]))(?![A-Za-z])|text[a-z]*\{"
    r"|text[a-z]*(?=\{))"
)
TEXT_COMMAND: Final = re.compile(r"text[a-z]*\{")
PATH: Final = re.compile(r'"[C-Hc-h]:\\(?!\\)[^"\\\n]*(?:\\|\.\w{1,4}")')  # C:\temp\new, C:\new.txt


class Number(str):
    """A number as the answer has it: 12.50 stays 12.50, whatever its size."""


@dataclass
class RecordsRead:
    """What an answer's JSON says, or what is wrong with it.

    value is an object or a list of objects with Numbers for numbers; None without any.
    """

    value: Any = None
    problems: list[Text] = field(default_factory=list)


def read_records(text: str) -> RecordsRead:
    """Return an answer's JSON object, or all its objects as a list; else its `key: value` lines.

    With a problem the value is None, but for half characters, which are replaced: an object that
    cannot be read must not vanish beside others.
    """
    source, halves = repair_escapes(text)
    read = RecordsRead(problems=[explain_half(line) for line in halves])
    records, others, failure = find_values(source)
    if failure is not None:
        read.problems.append(explain_failure(source, failure))
    elif records:
        read.problems += [explain_other(line, value) for line, value, alone in others if alone]
        read.value = records[0] if len(records) == 1 else flatten(records)
    elif others:
        read.problems.append(explain_value(others[-1][1]))
    else:
        read.value = read_pairs(text)
        if read.value is None:
            read.problems.append(
                Text("The answer is no JSON: ask again, or choose another format.")
            )
    return read


def repair_escapes(text: str) -> tuple[str, list[int]]:
    r"""Return JSON with backslashes that are no escapes doubled, and the lines of half characters.

    A half of a surrogate pair (\ud83d alone) stands for no character; it becomes U+FFFD.
    """
    halves: list[int] = []

    def repair_string(found: re.Match[str]) -> str:
        string = found[0]
        if "\\" not in string:
            return string
        is_path = PATH.match(string) is not None

        def repair(escape: re.Match[str]) -> str:
            if HALF.fullmatch(escape[0]):
                halves.append(text.count("\n", 0, found.start()) + 1)
                return "\\ufffd"
            after = string[escape.start() + 1 :]
            is_escape = escape[0][1:2] in '"\\/bfnrt' or len(escape[0]) > 2
            is_raw = COMMAND.match(after) or TEXT_COMMAND.match(after)
            if escape[0] == '\\"' or (is_escape and not is_raw and not is_path):
                return escape[0]
            if escape[0] == "\\\\" or (escape.end() == len(string) and escape[0] == "\\"):
                return escape[0]
            return "\\" + escape[0]

        return ESCAPE.sub(repair, string)

    return STRING.sub(repair_string, text), halves


def find_values(
    text: str,
) -> tuple[list[Any], list[tuple[int, Any, bool]], json.JSONDecodeError | None]:
    """Return all records of a text, its other values, and the first object that cannot be read.

    Other values come with their line and whether they stand alone on their lines.
    """
    decoder = json.JSONDecoder(
        object_pairs_hook=group_pairs,
        parse_float=Number,
        parse_int=Number,
        parse_constant=reject_constant,
        strict=False,  # line ends within strings
    )
    records: list[Any] = []
    others: list[tuple[int, Any, bool]] = []
    failures: list[json.JSONDecodeError] = []
    at = 0
    for found in re.finditer(r"[{\[]", text):
        begin = found.start()
        if begin < at:
            continue  # inside a value that was read or is invalid
        try:
            value, at = decoder.raw_decode(text, begin)
        except json.JSONDecodeError as error:
            at = max(error.pos, begin + 1)
            if text[begin] == "{" or stands_first(text, begin):
                failures.append(error)
            if breaks_off(text, error):
                return records, others, error
            if len(failures) >= MOST_FAILURES:
                break
            continue
        except NoNumber as error:
            return records, others, json.JSONDecodeError(str(error), text, begin)
        if is_record(value):
            records.append(value)
        else:
            is_alone = stands_first(text, begin) and not text[at:].partition("\n")[0].strip(" ,;.`")
            others.append((text.count("\n", 0, begin) + 1, value, is_alone))
    return records, others, failures[0] if failures else None


class NoNumber(ValueError):
    """NaN or Infinity, which JSON does not have."""


def reject_constant(name: str) -> NoReturn:
    """Raise NoNumber: NaN and Infinity are not valid JSON."""
    raise NoNumber(name)


def stands_first(text: str, begin: int) -> bool:
    """True if only blanks precede a place in its line."""
    return not text[text.rfind("\n", 0, begin) + 1 : begin].strip()


def breaks_off(text: str, error: json.JSONDecodeError) -> bool:
    """True if JSON cannot be read because the text ends before it."""
    return error.msg.startswith(BREAKS_OFF) or CUT_TOKEN.fullmatch(text, error.pos) is not None


def group_pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dict of all pairs; the values of a repeated name become a list."""
    grouped: dict[str, list[Any]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}


def flatten(records: Sequence[Any]) -> list[Any]:
    """Return all objects of several records as one list."""
    return [part for one in records for part in (one if isinstance(one, list) else [one])]


def read_pairs(text: str) -> dict[str, Any] | None:
    """Parse lines of `name: value`, also in Markdown (`- **name:** value`).

    None if any line is not one.
    """
    pairs = []
    for line in filter(str.strip, text.split("\n")):
        name, colon, value = line.strip().lstrip("-*• ").partition(":")
        name = name.strip(" *\t")
        if not colon or not name or len(name) > MOST_NAME or name.startswith(("{", "[", '"', "|")):
            return None
        pairs.append((name, value.strip(" *\t")))
    return group_pairs(pairs) if pairs else None


def is_record(value: object) -> bool:
    """True if a JSON value is a non-empty object or a list of them."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(part, dict) and part for part in value)
    return isinstance(value, dict) and bool(value)


def write_record(value: Any, indent: str = "") -> str:
    """Return a value as JSON with an indent of two spaces, its Numbers as they were printed."""
    if isinstance(value, Number):
        return value
    inner = f"{indent}  "
    if isinstance(value, dict) and value:
        parts = [f"{quote(name)}: {write_record(part, inner)}" for name, part in value.items()]
        return "{\n" + ",\n".join(f"{inner}{part}" for part in parts) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        items = [f"{inner}{write_record(part, inner)}" for part in value]
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    return quote(value)


def quote(value: object) -> str:
    """Return a value without Numbers as JSON."""
    return json.dumps(value, ensure_ascii=False)


def show_numbers(value: Any) -> Any:
    """Return a value for a viewer whose numbers are of 64 bits: other Numbers become text."""
    if isinstance(value, Number):
        number = json.loads(value)
        is_exact = isinstance(number, float) or abs(number) < 2**53
        return number if is_exact and repr(number) == value else str(value)
    if isinstance(value, dict):
        return {name: show_numbers(part) for name, part in value.items()}
    return [show_numbers(part) for part in value] if isinstance(value, list) else value


def explain_failure(text: str, error: json.JSONDecodeError) -> Text:
    """Return the message for JSON that cannot be read: where, and what to do."""
    if error.msg in ("NaN", "Infinity", "-Infinity"):
        return Text(
            "Line {line} has {value}, which is no JSON: ask again, or choose another format.",
            line=error.lineno,
            value=error.msg,
        )
    if breaks_off(text, error):
        return Text(
            "The JSON breaks off after {count} characters: continue the answer, or allow a "
            "longer one (max_new_tokens).",
            count=len(text),
        )
    return Text(
        "The answer is no JSON (line {line}): ask again, or choose another format.",
        line=error.lineno,
    )


def explain_other(line: int, value: object) -> Text:
    """Return the message for a value beside records that is none and is left out."""
    return Text("Line {line} is left out, it is {found}.", line=line, found=describe_json(value))


def explain_value(value: object) -> Text:
    """Return the message for an answer whose JSON has no record."""
    return Text(
        "The answer is {found}, and names with values were asked for: ask again, or choose "
        "another format.",
        found=describe_json(value),
    )


def explain_half(line: int) -> Text:
    """Return the message for a line in which half a character was replaced."""
    return Text("Line {line} has half a character, shown as \ufffd: look at it.", line=line)


def describe_json(value: object) -> Text:
    """Return the words for a JSON value that is not a record."""
    if isinstance(value, list):
        return Text("a list of other things than objects") if value else Text("an empty list")
    return Text("an empty object")
