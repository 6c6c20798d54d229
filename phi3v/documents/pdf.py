"""Renders pages of PDFs with PDFium and reads their own text, in the worker process.

PDFium is not thread-safe, and some documents keep it busy for hours. Must not know the app.
"""

import ctypes
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import pypdfium2

from phi3v.documents.resolution import choose_scale
from phi3v.request import RequestError

# PDFium's error code for a document that needs a password (FPDF_ERR_PASSWORD).
ERR_PASSWORD: Final = 4
# Beyond this a page's own text and its objects are not counted on.
MAX_CHARACTERS: Final = 200_000
MAX_OBJECTS: Final = 10_000

# The document that was opened last: the pages of one are mostly rendered in a row.
_opened: dict[tuple[str, int, int], pypdfium2.PdfDocument] = {}


def open_pdf(data: Path | bytes, name: str) -> pypdfium2.PdfDocument:
    """Return a document. Raises RequestError if it cannot be opened."""
    key = None
    if isinstance(data, Path):
        status = data.stat()
        key = (str(data), status.st_mtime_ns, status.st_size)
        if key in _opened:
            return _opened[key]
    while _opened:
        _opened.popitem()[1].close()
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError:
        # PDFium may report the error of an earlier document; a text that is no PDF sets another.
        with suppress(pypdfium2.PdfiumError):
            pypdfium2.PdfDocument(b"no PDF")
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            raise_pdf_error(name, error)
    document.init_forms()
    if key is not None:
        _opened[key] = document
    return document


def raise_pdf_error(name: str, error: pypdfium2.PdfiumError) -> NoReturn:
    """Raise the RequestError that explains why a PDF does not open."""
    if error.err_code == ERR_PASSWORD:
        raise RequestError(
            "{name} is locked with a password, and a locked PDF is not read here: open it with "
            "its password and print it to a new PDF.",
            name=name,
        ) from error
    raise RequestError(
        "{name} begins like a PDF but cannot be opened (the file breaks off or is garbled): save "
        "or download it again.",
        name=name,
    ) from error


def render_page(
    data: Path | bytes, number: int, name: str, allocate: Callable[[int], Any]
) -> tuple[int, int]:
    """Render a PDF's page (number from 1), with its filled-in form fields, and return its size.

    The pixels, three bytes each, are put into the writable buffer that `allocate` returns for
    their number of bytes.

    Raises RequestError for a damaged page.
    """
    document = open_pdf(data, name)

    def make_bitmap(width: int, height: int, format: int, rev_byteorder: bool) -> Any:
        assert format == pypdfium2.raw.FPDFBitmap_BGR, "a page is rendered without alpha"
        count = 3 * width * height
        buffer = (ctypes.c_ubyte * count).from_buffer(allocate(count))
        return pypdfium2.PdfBitmap.new_native(width, height, format, rev_byteorder, buffer)

    try:
        page = document[number - 1]
        scale = choose_scale(*page.get_size())
        bitmap = page.render(scale=scale, rev_byteorder=True, bitmap_maker=make_bitmap)
        size = bitmap.width, bitmap.height
        bitmap.close()
        return size
    except (pypdfium2.PdfiumError, IndexError, ValueError, MemoryError) as error:
        raise RequestError(
            "{name} cannot be drawn: this page of the PDF is damaged. Save the document "
            "again, or print the page to a new PDF.",
            name=name,
        ) from error


def read_page(data: Path | bytes, number: int, name: str) -> dict[str, Any]:
    """Return a page's own text, "" without any, and how many objects are drawn on it.

    A damaged page has neither; rendering it tells why.
    """
    document = open_pdf(data, name)
    try:
        page = document[number - 1]
        objects = sum(1 for _, _ in zip(page.get_objects(), range(MAX_OBJECTS), strict=False))
        text = page.get_textpage().get_text_range()[:MAX_CHARACTERS]
    except (pypdfium2.PdfiumError, IndexError, ValueError):
        return {"text": "", "objects": 0}
    return {"text": text.replace("\r\n", "\n").replace("\ufffe", "-").strip(), "objects": objects}
