"""From files, folders, addresses and PDFs to pages: one picture each, or what is wrong with it.

Knows page ranges, and how large a PDF's page is drawn; a page is found first and opened when its
turn comes, so a thousand of them take no memory. Knows nothing of the network or the page of the
app. PDFium draws the PDFs; it is not made for threads, so one lock stands around it.
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

# A4 at 200 dots per inch is 1654 x 2339 pixels, well above the 1344 x 1680 at most that the network
# sees of it in 16 crops, so that small print is scaled down and never up.
DOTS_PER_INCH: Final = 200
# However large or small a page is in inches: its longer side in pixels. 16 crops of 336 in a row
# are the most of a side that the network sees, four of them the least worth drawing.
LONGEST_SIDE: Final = (4 * 336, 16 * 336)
MAX_PAGE_PIXELS: Final = 16_000_000
POINTS_PER_INCH: Final = 72

MAX_PAGES: Final = 500
MAX_FILE_BYTES: Final = 200 * 2**20
# PDFium's number for a document that wants a password (FPDF_ERR_PASSWORD).
ERR_PASSWORD: Final = 4

PDFIUM = threading.Lock()

Ranges = tuple[tuple[int, int | None], ...]


@dataclass(frozen=True)
class Page:
    """A picture's file, or one page of a PDF, not opened yet.

    name is what people call it ("bill.pdf, page 2"); source is the path or address as it was
    given; content is the SHA-256 of the file, in hex; number counts a PDF's pages from 1 and is
    None for a picture.
    """

    name: str
    source: str
    content: str
    number: int | None
    data: Path | bytes

    def open(self) -> Image.Image:
        """The upright RGB picture. Raises RequestError where it is broken or too large."""
        if self.number is not None:
            return draw_page(self.data, self.number, self.name)
        if isinstance(self.data, bytes):
            return open_stream(io.BytesIO(self.data), self.name)
        return open_image(self.data, self.name)


@dataclass(frozen=True)
class Problem:
    """Why a file, or some pages of it, cannot be read: what was found, the limit, what to do."""

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
    """All pages of files, folders (their pictures and PDFs, by name) and web addresses, in order.

    pages chooses pages of the PDFs, like "1-3,7" or "5-"; empty is all. Whatever cannot be read
    becomes a Problem and the others go on. After most_pages pages a last Problem says what is left
    out. fetch turns an address into its file and name. Raises RequestError for a bad range.
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
    """Open each page in its turn; one that is broken becomes a Problem, and the others go on."""
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
    """The pages of one file, folder or address; see find_pages."""
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
    """The pages of one file's content; a picture is one page. Raises RequestError."""
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


def draw_page(data: Path | bytes, number: int, name: str) -> Image.Image:
    """Draw a PDF's page, counted from 1, as an RGB picture, with its filled-in form fields."""
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
    """Pixels for each of a page's points, by its size in points; see the constants above."""
    longer = max(width, height, 1e-3)
    shortest, longest = LONGEST_SIDE
    scale = min(max(DOTS_PER_INCH / POINTS_PER_INCH, shortest / longer), longest / longer)
    return float(min(scale, (MAX_PAGE_PIXELS / max(width * height, 1e-6)) ** 0.5))


@contextmanager
def open_pdf(data: Path | bytes, name: str) -> Iterator[pypdfium2.PdfDocument]:
    """A PDF while nobody else uses PDFium. Raises RequestError where it cannot be opened."""
    with PDFIUM:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            refuse_pdf(name, error)
        try:
            yield document
        finally:
            document.close()


def refuse_pdf(name: str, error: pypdfium2.PdfiumError) -> NoReturn:
    """Say in a RequestError why a PDF does not open."""
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
    """Read a choice of pages like "1-3,7" or "5-"; (1, None) is all. Raises RequestError."""
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
    """The numbers of a document's pages that the ranges name, ascending, each once."""
    chosen: set[int] = set()
    for first, last in ranges:
        chosen.update(range(first, min(last or count, count) + 1))
    return sorted(chosen)


def list_folder(folder: Path) -> list[Path]:
    """A folder's pictures and PDFs by their names' endings, sorted; not those of its folders."""
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
    """Raise RequestError where there is no file, or one larger than the limit."""
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
    """A file, or bytes, to read from."""
    try:
        with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
            yield file
    except PermissionError as error:
        raise RequestError(
            "{name} may not be read: change its permissions.", name=f"{data!s:.200}"
        ) from error


def is_address(source: str) -> bool:
    """Whether a source is a web address and not a file."""
    return bool(re.match(r"https?://", source, re.IGNORECASE))
