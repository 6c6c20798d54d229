"""Where the words of an answer stand in its pictures: what the decoder is told to look at.

To read is to know where to look next; to say what stands below a bar is to look below it. Answers
teach that slowly, a token at a time. Here every token of an answer that stands in a picture is
traced to the cells that show it, and a head in two of the decoder's layers has to look there; one
before them has to look at what was said last, from where the way to what comes next is short.
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
INMOST = 8  # marks of a shape's middle: two at each of four points
LONGEST_GAP = 24  # characters between two lines of print in an answer
TAKEN = "\0"  # stands for characters that are traced; no part of a word
VERB = re.compile(r"( is)? ")  # after "the highest": still the bar is looked at
AGAIN = re.compile(r"\S+( with )")  # after that: once its label is told, the bar is looked at again


@dataclass(frozen=True)
class Thing:
    """A line of print, or a shape."""

    name: str
    picture: int
    marks: tuple[Mark, ...]

    @property
    def is_print(self) -> bool:
        """Whether its marks are those of its characters, one after the other."""
        return len(self.marks[0].token) == 1


@dataclass(frozen=True)
class Target:
    """What a part of an answer is about: marks in one picture."""

    start: int  # the part's first character
    end: int
    picture: int
    marks: tuple[Mark, ...]
    is_first: bool = False  # a line of print begins here: it was to be found


def list_things(pictures: tuple[Picture, ...]) -> list[Thing]:
    """Everything that stands in the pictures, in the order in which it was drawn."""
    things = []
    for number, picture in enumerate(pictures):
        for (name, middle), group in groupby(picture.marks, lambda mark: (mark.name, mark.middle)):
            marks = tuple(group)
            marks = keep_inmost(marks, middle) if middle else marks
            size = len(name) if len(marks[0].token) == 1 else len(marks)
            things += [Thing(name, number, marks[i : i + size]) for i in range(0, len(marks), size)]
    return things


def keep_inmost(marks: tuple[Mark, ...], middle: tuple[float, float]) -> tuple[Mark, ...]:
    """The marks of a shape that are nearest to its middle; of a ring all on its inner rim.

    One spot for each shape, so that none is told twice, and the spot says where the shape is.
    """
    far = [math.dist((mark.x, mark.y), middle) for mark in marks]
    reach = 1.2 * sorted(far)[:INMOST][-1]
    return tuple(mark for mark, distance in zip(marks, far, strict=True) if distance <= reach)


def trace_print(thing: Thing, start: int) -> list[Target]:
    """One target for each character, spaces among them."""
    return [
        Target(start + offset, start + offset + 1, thing.picture, (mark,), offset == 0)
        for offset, mark in enumerate(thing.marks)
    ]


def trace_answer(answer: str, pictures: tuple[Picture, ...]) -> list[Target]:
    """The parts of an answer that stand in its pictures, longer names first.

    What could be one of several things is left out, unless all of them are named in turn.
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
    """What stands between two lines of print of a picture looks at the end of the first.

    So a head can follow what was said last up to where the next line is to be found.
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
    """Which of a picture's image tokens show marks: in its sub-crops and in its global crop.

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
