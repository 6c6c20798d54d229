"""Splits an answer at its code fences, also those that follow words. Knows nothing of formats."""

import re
from dataclasses import dataclass
from typing import Final

FENCE_LINE: Final = re.compile(r"[ \t]*(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[\w+-]*)[ \t]*")


@dataclass(frozen=True)
class Section:
    """Lines of an answer inside or outside a fence; info is the fence's word, such as "csv".

    number is the first line's number in the answer, from 1.
    """

    lines: tuple[str, ...]
    number: int
    is_fenced: bool = False
    info: str = ""


def split_fences(text: str) -> list[Section]:
    """Return an answer's sections in order, without the fence lines and without empty sections.

    A fence that is not closed lasts to the end. Lines end with a line feed only.
    """
    sections: list[Section] = []
    begun, mark, info = 0, "", ""
    lines = text.split("\n")
    for at, line in enumerate([*lines, None]):
        found = FENCE_LINE.fullmatch(line) if line is not None else None
        closes = found is not None and found["mark"].startswith(mark) and not found["info"]
        if line is not None and not (closes if mark else found):
            continue
        inside = tuple(lines[begun:at])
        if any(map(str.strip, inside)):
            sections.append(Section(inside, begun + 1, bool(mark), info))
        begun = at + 1
        if found is not None:
            mark, info = ("", "") if mark else (found["mark"], found["info"].lower())
    return sections
