"""Pages of PDFs, as the app renders them: a heading and a few to thirty lines, to be read.

The same print on a page of 1,654 x 2,339 pixels differs from that on a small picture: PDFium draws
and hints it in its own way, and the image processor then scales the page to less than half.
"""

import io
import random
from ctypes import POINTER, c_ushort, cast

import pypdfium2
from pypdfium2 import raw as pdfium

from phi3v.documents.pages import render_page
from training import text
from training.canvas import FRAME, Mark, Picture, Sample, is_wide
from training.words import choose_word, write_name, write_number, write_place

SHEETS = ((595.28, 841.89), (595.28, 841.89), (612.0, 792.0))  # A4 and letter, in points
FONTS = (
    *("Helvetica", "Helvetica", "Helvetica-Bold", "Times-Roman", "Times-Roman", "Times-Bold"),
    *("Courier", "Courier-Bold", "Helvetica-Oblique", "Times-Italic"),
)
LOW, HIGH = 11.0, 38.0  # points
MOST_CHARACTERS = 560  # the context has room for about as many tokens beside nine crops
SMALL_WORDS = (
    *("a", "an", "and", "are", "at", "before", "by", "closed", "for", "from"),
    *("has", "in", "is", "it", "of", "on", "open", "or", "please", "see"),
    *("the", "this", "to", "us", "was", "we", "will", "with", "you", "your"),
)
Line = tuple[str, float, float, float]  # text, size, left end and base line, in points


def write_sentence(rng: random.Random, held_out: bool) -> str:
    """Write words with small ones between, a name, a place, a price or a number."""
    roll = rng.random()
    if roll < 0.12:
        return write_name(rng, held_out)
    if roll < 0.2:
        return f"{write_place(rng, held_out)}, {write_number(rng)}"
    if roll < 0.3:
        label = choose_word(rng, "title", held_out, hard=0.0, wide=False)
        return f"{label}: {write_number(rng)}"
    words = []
    for _ in range(rng.randint(1, 6)):
        if rng.random() < 0.4:
            words.append(rng.choice(SMALL_WORDS))
        words.append(choose_word(rng, "lower", held_out, hard=0.05, wide=is_wide(rng)))
    line = " ".join(words)
    if rng.random() < 0.7:
        line = line[0].upper() + line[1:]
    return line + rng.choice(("", "", ".", ".", "!", "?"))


def lay_out(rng: random.Random, sheet: tuple[float, float], held_out: bool) -> list[Line]:
    """Choose lines that fit the sheet, the first a heading."""
    width, height = sheet
    size = LOW * (HIGH / LOW) ** rng.random()
    heading = min(HIGH, size * rng.uniform(1.0, 1.8))
    spacing = size * rng.uniform(1.2, 1.9)
    left, y = rng.uniform(36, 100), height - rng.uniform(40, 110) - heading
    lines: list[Line] = []
    total, most = 0, rng.choice((rng.randint(2, 8), rng.randint(6, 31)))
    while len(lines) < most and y > 40 and total < MOST_CHARACTERS:
        own = heading if not lines else size
        fits = int((width - left - 40) / (own * 0.62))
        line = write_sentence(rng, held_out)
        while len(line) > fits and " " in line:
            line = line.rpartition(" ")[0]
        if len(line) > fits:
            line = choose_word(rng, "title", held_out, hard=0.0, wide=False)[: max(2, fits)]
        lines.append((line, own, left, y))
        total += len(line) + 1
        y -= spacing * (rng.uniform(1.2, 1.8) if len(lines) == 1 else 1.0)
        if rng.random() < 0.08:
            y -= spacing  # a new paragraph
    return lines


def make_pdf(sheet: tuple[float, float], lines: list[Line], font: str) -> bytes:
    """Write the lines on a page in one of the fonts that every PDF reader has."""
    document = pypdfium2.PdfDocument.new()
    page = document.new_page(*sheet)
    for line, size, left, y in lines:
        drawn = pdfium.FPDFPageObj_NewTextObj(document, font.encode(), size)
        units = (line + "\0").encode("utf-16-le")
        pdfium.FPDFText_SetText(drawn, cast(units, POINTER(c_ushort)))
        pdfium.FPDFPageObj_Transform(drawn, 1, 0, 0, 1, left, y)
        pdfium.FPDFPage_InsertObject(page, drawn)
    pdfium.FPDFPage_GenerateContent(page)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def find_marks(data: bytes, lines: list[Line], scale: float, height: float) -> list[Mark]:
    """Return a mark at each character of the lines, in pixels of the page's picture."""
    document = pypdfium2.PdfDocument(data)
    printed = document[0].get_textpage()
    text_of_page = printed.get_text_range()
    marks, at = [], 0
    for line, size, _, y in lines:
        at = text_of_page.index(line, at)
        for character in line:
            left, _, right, _ = printed.get_charbox(at, loose=True)
            middle = height - y - 0.26 * size  # half of a small letter's height
            marks.append(Mark((left + right) / 2 * scale, middle * scale, character, line))
            at += 1
    return marks


def draw_document(rng: random.Random, held_out: bool) -> tuple[Picture, list[str]]:
    """Draw a page; return its lines, too."""
    sheet = rng.choice(SHEETS)
    lines = lay_out(rng, sheet, held_out)
    data = make_pdf(sheet, lines, rng.choice(FONTS))
    image = render_page(data, 1, "page.pdf")
    marks = find_marks(data, lines, image.width / sheet[0], sheet[1])
    return Picture(image, tuple(marks)), [line for line, *_ in lines]


def make_sample(rng: random.Random, held_out: bool = False) -> Sample:
    """A page; the answer is its text, line by line."""
    picture, lines = draw_document(rng, held_out)
    assert max(picture.image.size) > 3 * FRAME
    return Sample("document", (picture,), rng.choice(text.QUESTIONS), "\n".join(lines))
