"""Finds the pages of files, folders, web addresses and PDFs, one image each, and reports problems.

Knows page ranges and the resolution at which PDFs are rendered. Pages are found first and opened
one at a time, so that a thousand of them need little memory. PDFium renders PDFs; it is not
thread-safe, so a lock guards it. Must not know the model or the app's page.
"""

import hashlib
import io
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import pypdfium2
from PIL import Image

from phi3v.documents.download import fetch_file
from phi3v.documents.images import FORMATS, open_image, open_stream
from phi3v.request import RequestError
from phi3v.translatable import Text

# A4 at 200 dots per inch is 1654 x 2339 pixels, well above the 1344 x 1680 at most that the model
# sees of it in 16 crops, so that small print is scaled down and never up.
DOTS_PER_INCH: Final = 200
# Least and most pixels of a page's longer side, whatever its size in inches. The model sees at most
# 16 crops of 336 pixels along a side; rendering fewer than four of them is not worth it.
LONGER_SIDE_LIMITS: Final = (4 * 336, 16 * 336)
MAX_PAGE_PIXELS: Final = 16_000_000
POINTS_PER_INCH: Final = 72

MAX_PAGES: Final = 500
MAX_FILE_BYTES: Final = 200 * 2**20
# PDFium's error code for a document that needs a password (FPDF_ERR_PASSWORD).
ERR_PASSWORD: Final = 4

PDFIUM_LOCK = threading.Lock()

Ranges = tuple[tuple[int, int | None], ...]


@dataclass(frozen=True)
class Page:
    """An image file or one page of a PDF, not opened yet.

    name is its display name ("bill.pdf, page 2"); source is the path or address as given; content
    is the file's SHA-256 in hex; number is a PDF's page number from 1, None for an image.
    """

    name: str
    source: str
    content: str
    number: int | None
    data: Path | bytes

    def open(self) -> Image.Image:
        """Return the upright RGB image. Raises RequestError if it is damaged or too large."""
        if self.number is not None:
            return render_page(self.data, self.number, self.name)
        if isinstance(self.data, bytes):
            return open_stream(io.BytesIO(self.data), self.name)
        return open_image(self.data, self.name)


@dataclass(frozen=True)
class Problem:
    """A file, or pages of one, that cannot be read; message says what was found and what to do."""

    name: str
    source: str
    message: str


def find_pages(
    sources: Iterable[str | Path],
    pages: str = "",
    *,
    most_pages: int = MAX_PAGES,
    fetch: Callable[[str], tuple[bytes, str]] = fetch_file,
) -> Iterator[Page | Problem]:
    """Yield all pages of files, folders (images and PDFs, by name) and web addresses, in order.

    pages selects pages of the PDFs, like "1-3,7" or "5-"; empty is all. What cannot be read becomes
    a Problem, and the other sources continue. After most_pages pages a last Problem says that the
    rest is left out. fetch returns the content and file name at an address. Raises RequestError for
    an invalid range.
    """
    ranges = parse_ranges(pages)
    count = 0
    for source in sources:
        for found in find_in_source(str(source), ranges, fetch):
            if isinstance(found, Page):
                count += 1
                if count > most_pages:
                    yield Problem(
                        found.name,
                        found.source,
                        Text(
                            "{name} and what comes after it are left out: {limit} pages at once "
                            "are the limit. Name fewer files, or choose pages, like 1-20.",
                            name=found.name,
                            limit=most_pages,
                        ),
                    )
                    return
            yield found


def open_pages(found: Iterable[Page | Problem]) -> Iterator[tuple[Page, Image.Image] | Problem]:
    """Open the pages one at a time; a damaged one becomes a Problem, and the others continue."""
    for page in found:
        if isinstance(page, Problem):
            yield page
            continue
        try:
            yield page, page.open()
        except RequestError as error:
            yield Problem(page.name, page.source, error.text)


def find_in_source(
    source: str, ranges: Ranges, fetch: Callable[[str], tuple[bytes, str]]
) -> Iterator[Page | Problem]:
    """Yield the pages of one file, folder or address; see find_pages."""
    name = source if is_address(source) else Path(source).name or source
    try:
        if is_address(source):
            content, name = fetch(source)
            yield from find_in_file(content, name, source, ranges)
        elif Path(source).is_dir():
            for file in list_folder(Path(source)):
                yield from find_in_source(str(file), ranges, fetch)
        else:
            check_file(Path(source), name)
            yield from find_in_file(Path(source), name, source, ranges)
    except RequestError as error:
        yield Problem(name, source, error.text)


def find_in_file(
    data: Path | bytes, name: str, source: str, ranges: Ranges
) -> Iterator[Page | Problem]:
    """Yield the pages of one file; an image is one page.

    Raises RequestError for a PDF that cannot be opened or has none of the selected pages.
    """
    with open_binary(data) as file:
        head = file.read(1024)
        file.seek(0)
        content = hashlib.file_digest(file, "sha256").hexdigest()
    if b"%PDF-" not in head:
        yield Page(name, source, content, None, data)
        return
    with open_pdf(data, name) as document:
        count = len(document)
    numbers = choose_pages(ranges, count)
    if not numbers:
        if not count:
            raise RequestError("{name} has no pages: save the document again.", name=name)
        raise RequestError(
            "{name} has {count} pages, and none of those asked for: choose from 1-{count}.",
            name=name,
            count=count,
        )
    for number in numbers:
        page = Text("{name}, page {number}", name=name, number=number)
        yield Page(page, source, content, number, data)


def render_page(data: Path | bytes, number: int, name: str) -> Image.Image:
    """Render a PDF's page (number from 1) as an RGB image, with its filled-in form fields.

    Raises RequestError for a damaged page.
    """
    with open_pdf(data, name) as document:
        try:
            document.init_forms()
            page = document[number - 1]
            bitmap = page.render(scale=choose_scale(*page.get_size()), rev_byteorder=True)
            return bitmap.to_pil().convert("RGB")
        except (pypdfium2.PdfiumError, IndexError, ValueError, MemoryError) as error:
            raise RequestError(
                "{name} cannot be drawn: this page of the PDF is damaged. Save the document "
                "again, or print the page to a new PDF.",
                name=name,
            ) from error


def choose_scale(width: float, height: float) -> float:
    """Return the pixels per point for a page of this size in points, within the limits above."""
    longer = max(width, height, 1e-3)
    shortest, longest = LONGER_SIDE_LIMITS
    scale = min(max(DOTS_PER_INCH / POINTS_PER_INCH, shortest / longer), longest / longer)
    return float(min(scale, (MAX_PAGE_PIXELS / max(width * height, 1e-6)) ** 0.5))


@contextmanager
def open_pdf(data: Path | bytes, name: str) -> Iterator[pypdfium2.PdfDocument]:
    """Open a PDF and hold PDFium's lock meanwhile. Raises RequestError if it cannot be opened."""
    with PDFIUM_LOCK:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            raise_pdf_error(name, error)
        try:
            yield document
        finally:
            document.close()


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


def parse_ranges(text: str) -> Ranges:
    """Parse page ranges like "1-3,7" or "5-"; "" is all, (1, None).

    Raises RequestError for other syntax and for ranges that begin below 1 or end before they begin.
    """
    if not text.strip():
        return ((1, None),)
    ranges = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,6})\s*(-)?\s*(\d{1,6})?\s*", part)
        if found is None or (found[3] and not found[2]):
            raise RequestError(
                "{found!r} is no choice of pages: write numbers and ranges with commas "
                "between them, like 1-3,7 or 5- (from the fifth on).",
                found=text[:60],
            )
        first = int(found[1])
        last = int(found[3]) if found[3] else None if found[2] else first
        if first < 1 or (last is not None and last < first):
            raise RequestError(
                "{found!r} is no range of pages: pages count from 1, and the smaller "
                "number comes first, like 2-5.",
                found=part.strip(),
            )
        ranges.append((first, last))
    return tuple(ranges)


def choose_pages(ranges: Ranges, count: int) -> list[int]:
    """Return the page numbers within the ranges, up to `count`, ascending and unique."""
    chosen: set[int] = set()
    for first, last in ranges:
        chosen.update(range(first, min(last or count, count) + 1))
    return sorted(chosen)


def list_folder(folder: Path) -> list[Path]:
    """Return a folder's images and PDFs by file suffix, sorted; subfolders are not searched.

    Raises RequestError if there are none.
    """
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    files = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in known | {".pdf"}
        and file.is_file()
        and not file.name.startswith(".")
    ]
    if not files:
        raise RequestError(
            "{folder} holds no picture and no PDF (folders inside it are not searched): name "
            "another folder, or the files themselves.",
            folder=folder,
        )
    return files


def check_file(path: Path, name: str) -> None:
    """Raise RequestError if the file is missing or larger than MAX_FILE_BYTES."""
    if not path.is_file():
        raise RequestError("{name} is not there: check the name.", name=path)
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise RequestError(
            "{name} has {size:.0f} MB, the limit is {limit:.0f}: make it smaller, or split it.",
            name=name,
            size=size / 2**20,
            limit=MAX_FILE_BYTES / 2**20,
        )


@contextmanager
def open_binary(data: Path | bytes) -> Iterator[io.BufferedIOBase]:
    """Open a file, or bytes, as a binary stream. Raises RequestError without permission."""
    try:
        with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
            yield file
    except PermissionError as error:
        raise RequestError(
            "{name} may not be read: change its permissions.", name=f"{data!s:.200}"
        ) from error


def is_address(source: str) -> bool:
    """True if a source is an http or https address, not a file."""
    return bool(re.match(r"https?://", source, re.IGNORECASE))
