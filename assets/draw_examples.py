"""Draws the page's example pictures: `python assets/draw_examples.py` (needs DejaVu fonts).

Plain pictures with large letters, so that the embedded checkpoint can read them too.
"""

from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).parent / "examples"
SIZE = 336  # one crop
INK, PAPER, NIGHT = "#1a1a1a", "#ffffff", "#12315c"
RED, BLUE, GREEN, YELLOW = "#d62828", "#1d4ed8", "#2a9d4a", "#f2c230"


def new_picture(
    background: str = PAPER, size: tuple[int, int] = (SIZE, SIZE)
) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty picture, and the pen that draws in it."""
    image = Image.new("RGB", size, background)
    return image, ImageDraw.Draw(image)


def write(
    pen: ImageDraw.ImageDraw,
    y: int,
    text: str,
    size: int,
    colour: str = INK,
    face: str = "DejaVuSans-Bold",
    x: int = SIZE // 2,
) -> None:
    """Write one line of text centred at (x, y)."""
    pen.text((x, y), text, fill=colour, font=ImageFont.truetype(f"{face}.ttf", size), anchor="mm")


def draw_revenue() -> Image.Image:
    """Draw a bar chart of a company's revenue over four years."""
    width, height = 560, 420
    image, pen = new_picture(size=(width, height))
    write(pen, 38, "Revenue", 44, x=width // 2)
    years = (("2021", 24), ("2022", 38), ("2023", 31), ("2024", 17))
    base = height - 64
    for column, (year, value) in enumerate(years):
        x, top = 85 + 130 * column, round(base - 5.8 * value)
        pen.rectangle((x - 46, top, x + 46, base), fill=BLUE)
        write(pen, top - 21, str(value), 32, x=x)
        write(pen, base + 30, year, 32, face="DejaVuSans", x=x)
    pen.line((10, base + 1, width - 10, base + 1), fill=INK, width=3)
    return image


def draw_book() -> Image.Image:
    """Draw the cover of a book."""
    image, pen = new_picture(NIGHT)
    write(pen, 110, "ALONE", 44, PAPER)
    write(pen, 240, "Morgan Maxwell", 34, PAPER, "DejaVuSans")
    return image


def draw_lines(text: str, colour: str, background: str, size: int = 40) -> Image.Image:
    """Draw one or two lines of large letters."""
    image, pen = new_picture(background)
    lines = text.split("\n")
    for number, line in enumerate(lines):
        write(pen, 155 + 35 * (2 * number + 1 - len(lines)), line, size, colour)
    return image


def draw_table() -> Image.Image:
    """Draw a table of what a shop has sold."""
    image, pen = new_picture()
    rows = (("Fruit", "Sold"), ("Apple", "24"), ("Pear", "17"), ("Lemon", "35"))
    for number, row in enumerate(rows):
        top = 48 + 60 * number
        for left, right, cell in zip((24, 180), (180, 312), row, strict=True):
            pen.rectangle((left, top, right, top + 60), outline=INK, width=2)
            write(pen, top + 30, cell, 30, face="DejaVuSans", x=(left + right) // 2)
    return image


def draw_receipt() -> Image.Image:
    """Draw three lines of a receipt."""
    image, pen = new_picture()
    for number, line in enumerate(("Date: 2024", "Table: 12", "Total: $18.50")):
        write(pen, 100 + 64 * number, line, 40, face="DejaVuSans")
    return image


def draw_garden() -> Image.Image:
    """Draw three shapes in three positions."""
    image, pen = new_picture()
    pen.ellipse((30, 26, 110, 106), fill=YELLOW)
    pen.polygon(((266, 26), (306, 106), (226, 106)), fill=GREEN)
    pen.rectangle((128, 240, 208, 320), fill=RED)
    return image


def draw_shapes(*shapes: tuple[str, str]) -> Image.Image:
    """Draw one or two coloured shapes, side by side."""
    image, pen = new_picture()
    radius = 100 if len(shapes) == 1 else 68
    for index, (shape, colour) in enumerate(shapes):
        x = SIZE * (2 * index + 1) // (2 * len(shapes))
        box = (x - radius, SIZE // 2 - radius, x + radius, SIZE // 2 + radius)
        if shape == "circle":
            pen.ellipse(box, fill=colour)
        elif shape == "square":
            pen.rectangle(box, fill=colour)
        else:
            left, top, right, bottom = box
            pen.polygon(((x, top), (right, bottom), (left, bottom)), fill=colour)
    return image


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "revenue": draw_revenue,
    "book": draw_book,
    "sign": lambda: draw_lines("COFFEE\nAND TEA", INK, YELLOW, 38),
    "poster": lambda: draw_lines("WELCOME\nHOME", PAPER, GREEN),
    "shop-open": lambda: draw_lines("SHOP OPEN", INK, PAPER, 32),
    "shop-closed": lambda: draw_lines("SHOP CLOSED", INK, PAPER, 32),
    "table": draw_table,
    "receipt": draw_receipt,
    "garden": draw_garden,
    "circle": lambda: draw_shapes(("circle", RED)),
    "circle-blue": lambda: draw_shapes(("circle", BLUE)),
    "shapes": lambda: draw_shapes(("triangle", GREEN), ("square", BLUE)),
}


def main() -> None:
    """Draw and save every picture."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        draw().save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
