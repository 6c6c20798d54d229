"""Small tables, answered in Markdown, and receipts or labels of keys and values."""

import random

from PIL import ImageDraw

from training import text
from training.canvas import (
    Mark,
    Picture,
    Sample,
    choose_paper,
    is_wide,
    load_font,
    mark_word,
)
from training.colours import Rgb
from training.words import choose_word, join, write_number

QUESTIONS = (
    "Convert this table to Markdown.",
    "Read this table.",
    "Write this table in Markdown.",
    "Extract the table.",
    "Extract the table from the image as Markdown.",
    "Read the table in this picture and answer in Markdown.",
)
OF_ROWS = ("Give the rows {}.", "Write the rows {}.", "What is in the rows {}?")
OF_ROW = ("Give the row {}.", "What is in the row {}?", "What does the row {} say?")
OF_CELLS = ("What is {}?", "How much is {}?", "Tell me {}.")
KEYS = (
    *("Total", "Date", "Name", "Price", "Tax", "Order", "Table", "Tip", "Cash", "Change", "Item"),
    *("No", "Ref", "Size", "Weight", "Code", "City", "Phone", "Due", "Paid", "Room", "Seat"),
)


DIGITS = {"one": 1, "two": 2, "three": 3, "four": 4}


def choose_kind(rng: random.Random) -> str:
    """Choose the kind of a column's numbers; "" for words."""
    return rng.choice((*DIGITS, "three", "three", "price", "decimal", "mixed", "", "", ""))


def write_figure(rng: random.Random, kind: str) -> str:
    """Return a number of this kind: whole with up to so many digits, a price, and so on."""
    if kind == "mixed":
        return write_number(rng)
    if kind == "price":
        return f"${rng.randint(1, 99)}.{rng.randint(0, 99):02d}"
    if kind == "decimal":
        return f"{rng.randrange(100)}.{rng.randrange(10)}"
    return str(rng.randrange(10 ** DIGITS[kind]))


def choose_cells(rng: random.Random, held_out: bool) -> list[list[str]]:
    """Choose a heading and one to four rows, of two to four columns."""
    columns, rows = rng.choice((2, 2, 3, 3, 4)), rng.choice((2, 3, 3, 4, 5))
    kinds = ["", *(choose_kind(rng) for _ in range(columns - 1))]
    cells = [[choose_word(rng, "title", held_out, 0.0, False)[:10] for _ in range(columns)]]
    for _ in range(rows - 1):
        cells.append(
            [
                write_figure(rng, kind)
                if kind
                else choose_word(rng, "title", held_out, 0.0, False)[:10]
                for kind in kinds
            ]
        )
    return cells


def draw_table(rng: random.Random, cells: list[list[str]], held_out: bool) -> Picture:
    """Draw the cells, with or without lines around them."""
    paper = choose_paper(rng)
    image = paper.blank()
    draw = ImageDraw.Draw(image)
    marks: list[Mark] = []
    face = text.choose_face(rng, 18 / paper.scale, 44 / paper.scale, held_out)
    gap, is_even = rng.uniform(0.5, 1.2), rng.random() < 0.4

    def measure(face: text.Face) -> list[float]:
        widths = [
            max(text.measure_word(face.font, face.size, row[column]) for row in cells)
            for column in range(len(cells[0]))
        ]
        if is_even:
            widths = [max(widths)] * len(widths)
        return [width + gap * face.size for width in widths]

    height = rng.uniform(1.3, 2.0)
    tall = text.measure_line(face.font, face.size) * height * len(cells)
    fit = min(1.0, paper.width * 0.96 / sum(measure(face)), paper.height * 0.96 / tall)
    face = text.Face(face.font, max(8, int(face.size * fit)), face.case)
    widths, line = measure(face), text.measure_line(face.font, face.size)
    if rng.random() < 0.6:  # most tables fill their picture
        wider = paper.width * rng.uniform(0.7, 0.97) / sum(widths)
        widths = [width * max(1, min(wider, 2.5)) for width in widths]
        most = paper.height * 0.96 / (line * len(cells))
        height = max(height, min(most, rng.uniform(1.5, 3)))
    left = rng.uniform(0.01, 1) * max(0.0, paper.width - sum(widths)) * 0.98
    top = rng.uniform(0.01, 1) * max(0.0, paper.height - line * height * len(cells)) * 0.98
    ruled = rng.random() < 0.6
    ink: Rgb = paper.ink
    for number, row in enumerate(cells):
        x, y = left, top + number * line * height
        for width, cell in zip(widths, row, strict=True):
            at = round(x + gap * face.size / 2), round(y + line * (height - 1) / 2)
            draw.text(at, cell, font=load_font(face.font, face.size), fill=ink)
            marks += mark_word(face.font, face.size, cell, *at)
            if ruled:
                draw.rectangle((x, y, x + width, y + line * height), outline=ink)
            x += width
        if number == 0 and not ruled:
            draw.line((left, y + line * height, x, y + line * height), fill=ink, width=2)
    return Picture(image, tuple(marks))


def write_row(row: list[str]) -> str:
    """Format a row as Markdown."""
    return f"| {' | '.join(row)} |"


def write_markdown(cells: list[list[str]]) -> str:
    """Format the table as Markdown."""
    heading, *rows = (write_row(row) for row in cells)
    return "\n".join([heading, f"|{' --- |' * len(cells[0])}", *rows])


def ask_for_rows(rng: random.Random, rows: list[list[str]]) -> tuple[str, str]:
    """Ask for some rows in random order, so that each has to be located by its first cell."""
    some = rng.sample(rows, rng.randint(1, len(rows)))
    names = join(tuple(row[0] for row in some))
    question = rng.choice(OF_ROWS if len(some) > 1 else OF_ROW).format(names)
    return question, "\n".join(write_row(row) for row in some)


def ask_for_cells(rng: random.Random, heading: list[str], rows: list[list[str]]) -> tuple[str, str]:
    """Ask for one to four cells by column and row."""
    places = [(row, column) for row in rows for column in range(1, len(heading))]
    some = rng.sample(places, min(len(places), rng.choice((1, 2, 3, 4))))
    names = [f"{heading[column]} of {row[0]}" for row, column in some]
    values = [f"{name} is {row[column]}" for name, (row, column) in zip(names, some, strict=True)]
    return rng.choice(OF_CELLS).format(join(names)), f"{join(values)}."


def ask(rng: random.Random, cells: list[list[str]]) -> tuple[str, str]:
    """Ask for the whole table, or if all its names are unique for some of its rows or cells.

    The answer to a plain reading question is lines of cells.
    """
    heading, *rows = cells
    names = [cell for row in cells for cell in (row if row is heading else row[:1])]
    roll = rng.random()
    if roll < 0.12:
        return rng.choice(text.QUESTIONS), "\n".join(" ".join(row) for row in cells)
    if roll < 0.62 or len(set(names)) < len(names):
        return rng.choice(QUESTIONS), write_markdown(cells)
    if roll < 0.84:
        return ask_for_rows(rng, rows)
    return ask_for_cells(rng, heading, rows)


def make_table(rng: random.Random, held_out: bool = False) -> Sample:
    """A table, to be transcribed or asked about."""
    cells = choose_cells(rng, held_out)
    return Sample("table", (draw_table(rng, cells, held_out),), *ask(rng, cells))


def make_receipt(rng: random.Random, held_out: bool = False) -> Sample:
    """Two to five lines "key: value", read line by line."""
    paper = choose_paper(rng)
    face = text.choose_face(rng, 18 / paper.scale, 44 / paper.scale, held_out)
    lines = []
    for key in rng.sample(KEYS, rng.randint(2, 5)):
        value = write_number(rng)
        if rng.random() < 0.3:
            value = choose_word(rng, "title", held_out, 0.0, is_wide(rng))
        lines.append(f"{key}: {value}")
    picture, _ = text.draw_text(rng, paper, lines, face)
    return Sample("receipt", (picture,), rng.choice(text.QUESTIONS), "\n".join(lines))
