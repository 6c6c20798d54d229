"""Targets for the decoder's attention: which image tokens show which tokens of an answer.

Reading needs to know where to look next; naming what is below a bar needs to look below it. The
answer loss alone teaches that slowly, a token at a time. So every token of an answer that is in a
picture is traced to the cells that show it. One head in two of the decoder's layers is trained to
attend to the next token's cells, and in a layer before them to those of the current token, which
the next token is usually close to.
"""

import math
import re
from dataclasses import dataclass
from itertools import groupby, pairwise

from training.canvas import Mark, Picture, locate
from training.layouts import CELL, Layout
from training.tower import CELLS

ENDS = ("highest", "lowest")  # of a chart's bars or points
PLACE = re.compile(r"((( at| in) the)|,) (((top|bottom)( left| right)?)|left|right|centre)\b")
INMOST = 8  # marks used of a shape, nearest its centre: two at each of four points
LONGEST_GAP = 24  # characters between two lines of text in an answer
TAKEN = "\0"  # replaces characters that are traced already; not a word character
VERB = re.compile(r"( is)? ")  # after "the highest": traced to the bar as well
AGAIN = re.compile(r"\S+( with )")  # after that: a label, then the bar again, for its value


@dataclass(frozen=True)
class Thing:
    """A line of text, or a shape."""

    name: str
    picture: int
    marks: tuple[Mark, ...]

    @property
    def is_print(self) -> bool:
        """True if its marks are its characters, in order."""
        return len(self.marks[0].token) == 1


@dataclass(frozen=True)
class Target:
    """A part of an answer, and the marks in one picture that show it."""

    start: int  # the part's first character
    end: int
    picture: int
    marks: tuple[Mark, ...]
    is_first: bool = False  # a line of text begins here, which has to be located


def list_things(pictures: tuple[Picture, ...]) -> list[Thing]:
    """Return everything that is in the pictures, in drawing order."""
    things = []
    for number, picture in enumerate(pictures):
        for (name, middle), group in groupby(picture.marks, lambda mark: (mark.name, mark.middle)):
            marks = tuple(group)
            marks = keep_inmost(marks, middle) if middle else marks
            size = len(name) if len(marks[0].token) == 1 else len(marks)
            things += [Thing(name, number, marks[i : i + size]) for i in range(0, len(marks), size)]
    return things


def keep_inmost(marks: tuple[Mark, ...], middle: tuple[float, float]) -> tuple[Mark, ...]:
    """Return the marks nearest to a shape's centre; of a ring all on its inner rim.

    One spot per shape, so that none is named twice, and the spot gives the shape's position.
    """
    far = [math.dist((mark.x, mark.y), middle) for mark in marks]
    reach = 1.2 * sorted(far)[:INMOST][-1]
    return tuple(mark for mark, distance in zip(marks, far, strict=True) if distance <= reach)


def trace_print(thing: Thing, start: int) -> list[Target]:
    """Return one target per character, spaces included."""
    return [
        Target(start + offset, start + offset + 1, thing.picture, (mark,), offset == 0)
        for offset, mark in enumerate(thing.marks)
    ]


def trace_answer(answer: str, pictures: tuple[Picture, ...]) -> list[Target]:
    """Return the parts of an answer that are in its pictures, longer names first.

    A name of several things is left out, unless the answer has it once for each of them.
    """
    things: dict[str, list[Thing]] = {}
    for thing in list_things(pictures):
        things.setdefault(thing.name, []).append(thing)
    free = answer
    targets: list[Target] = []
    for name in sorted(things, key=len, reverse=True):
        same = things[name]
        flags = re.NOFLAG if same[0].is_print else re.IGNORECASE
        found = list(re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", free, flags))
        if len(same) == 1:
            same = same * len(found)
        if len(found) != len(same):
            continue
        for thing, match in zip(same, found, strict=True):
            start, end = match.span()
            if thing.is_print:
                targets += trace_print(thing, start)
            else:
                is_bar = name in ENDS or name.endswith(" bar")
                more = (VERB if is_bar else PLACE).match(free, end)
                end = more.end() if more else end
                targets.append(Target(start, end, thing.picture, thing.marks))
                again = AGAIN.match(answer, end) if is_bar else None
                if again:
                    targets.append(Target(*again.span(1), thing.picture, thing.marks))
            free = f"{free[:start]}{TAKEN * (end - start)}{free[end:]}"
    return targets + trace_between(targets)


def trace_between(targets: list[Target]) -> list[Target]:
    """Return targets for what is between two lines of a picture's text: the end of the first.

    So a head can stay on the last character until the next line has to be located.
    """
    ordered = sorted(targets, key=lambda target: target.start)
    return [
        Target(one.end, other.start, one.picture, one.marks)
        for one, other in pairwise(ordered)
        if len(one.marks) == len(one.marks[0].token) == 1
        and one.picture == other.picture
        and 0 < other.start - one.end <= LONGEST_GAP
    ]


def find_slots(
    marks: tuple[Mark, ...], size: tuple[int, int], layout: Layout, top: int
) -> list[int]:
    """Return which of a picture's image tokens show marks, in sub-crops and in the global crop.

    Args:
        marks: in pixels of the picture.
        size: width and height of the picture.
        layout: of its frames.
        top: first row of cells of its strip, 0 if it is whole.
    """
    scale, left, above = locate(*size, layout.num_crops)
    is_strip, is_single = layout.height < CELLS, layout.frames == layout.sub_frames
    wide = layout.columns * CELLS + 1
    rows = layout.sub_frames // layout.columns * layout.height
    start = min(max(0, top // layout.rows - 1), CELLS - layout.height)
    start = top if is_single else start * is_strip
    slots = set()
    for mark in marks:
        column = int((mark.x * scale + left) // CELL)
        row = int((mark.y * scale + above) // CELL)
        if not 0 <= column < wide - 1:
            continue
        if 0 <= row - top < rows:
            slots.add((row - top) * wide + column)
        low = row // layout.rows - start
        if 0 <= low < layout.height:
            slots.add(rows * wide + 1 + low * (CELLS + 1) + column // layout.columns)
    return sorted(slots)
