"""Finds the pages of files, folders, web addresses and PDFs, one image each, and reports problems.

Knows page ranges, and that a video or an animation has frames of which some are taken. Pages are
found first and opened one at a time, so that a thousand of them need little memory. PDFs and videos
are read in the worker process, see phi3v.documents.isolation. Must not know the model or the app's
page.
"""

import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Literal

from PIL import Image

from phi3v.documents.decoding import open_file
from phi3v.documents.download import fetch_file
from phi3v.documents.folders import list_folder
from phi3v.documents.formats import HEAD_BYTES, recognize
from phi3v.documents.images import HEADER_HERE, open_image, open_stream
from phi3v.documents.isolation import call_worker, decode_in_worker
from phi3v.documents.ranges import Ranges, choose_pages
from phi3v.documents.ranges import parse_ranges as parse_ranges
from phi3v.documents.resolution import DEFAULT_FRAMES, spread_evenly, write_time
from phi3v.documents.resolution import LONGER_SIDE_LIMITS as LONGER_SIDE_LIMITS
from phi3v.documents.resolution import MAX_PAGE_PIXELS as MAX_PAGE_PIXELS
from phi3v.documents.resolution import choose_scale as choose_scale
from phi3v.request import RequestError
from phi3v.translatable import Text

MAX_PAGES: Final = 500
MAX_FILE_BYTES: Final = 200 * 2**20
# More of a name is not shown: what is no file may be a whole document pasted in.
# The least value of red, green and blue of a page without ink.
WHITE: Final = 250
MAX_NAME: Final = 80

# A page or frame of a file: its index, and its time in seconds if it has one.
Found = tuple[int, float | None]
Kind = Literal["picture", "pdf", "tiff", "animation", "video"]


@dataclass(frozen=True)
class Page:
    """An image file, or a page or frame of one, not opened yet.

    name is its display name ("bill.pdf, page 2"); source is the path or address as given; content
    is the file's SHA-256 in hex; number is that of a page or frame from 1, None for a file of one
    image; total is how many the file has, file its name, time a frame's seconds from the beginning,
    and position the same as the file counts them.
    """

    name: str
    source: str
    content: str
    number: int | None
    data: Path | bytes
    kind: Kind = "picture"
    total: int = 1
    time: float | None = None
    position: float = 0.0
    file: str = ""

    def open(self) -> Image.Image:
        """Return the upright RGB image. Raises RequestError if it is damaged or too large."""
        if self.kind == "pdf":
            return render_page(self.data, self.number or 1, self.name)
        if self.kind == "video":
            return decode_in_worker("decode_video", self.data, self.name, seconds=self.position)
        if self.number is not None and self.number > 1:
            return decode_in_worker("decode_file", self.data, self.name, frame=self.number - 1)
        if isinstance(self.data, bytes):
            return open_stream(io.BytesIO(self.data), self.name)
        return open_image(self.data, self.name)

    def read_text(self) -> str:
        """Return a PDF page's own text; "" if it has none, or is no PDF's. Raises RequestError."""
        if self.kind != "pdf":
            return ""
        return str(call_worker("read_pdf", self.data, self.name, number=self.number).values["text"])

    def explain_blank(self, image: Image.Image) -> Text | None:
        """Return what is to be said if this page of a PDF was rendered without any ink, or None."""
        if self.kind != "pdf" or not is_blank(image):
            return None
        found = call_worker("read_pdf", self.data, self.name, number=self.number).values
        if not found["objects"]:
            return Text("{name} is empty: nothing is printed on it.", name=self.name)
        return Text(
            "{name} is blank when drawn, although it holds {count} objects: they may be pictures "
            "in a format that cannot be drawn here. Print the page to a new PDF.",
            name=self.name,
            count=found["objects"],
        )


def render_page(data: Path | bytes, number: int, name: str) -> Image.Image:
    """Render a PDF's page (number from 1) as an RGB image. Raises RequestError if it is damaged."""
    return decode_in_worker("render_pdf", data, name, number=number)


def is_blank(image: Image.Image) -> bool:
    """True if an RGB image is white all over."""
    darkest = image.convert("L").point(lambda value: value < WHITE and 255)
    return darkest.getbbox() is None


@dataclass(frozen=True)
class Problem:
    """A file, or pages of one, that cannot be read; message says what was found and what to do.

    is_left_out is True for what a folder holds beside pictures and documents: nothing failed.
    """

    name: str
    source: str
    message: str
    is_left_out: bool = False


def find_pages(
    sources: Iterable[str | Path],
    pages: str = "",
    *,
    most_pages: int = MAX_PAGES,
    frames: int = DEFAULT_FRAMES,
    fetch: Callable[[str], tuple[bytes, str]] = fetch_file,
) -> Iterator[Page | Problem]:
    """Yield all pages of files, folders (in natural order) and web addresses, in order.

    pages selects pages of the PDFs and TIFFs, like "1-3,7" or "5-"; empty is all. Of a video or an
    animation up to `frames` frames are taken, evenly spread. What cannot be read, and what of a
    folder is left out, becomes a Problem, and the other sources continue. After most_pages pages a
    last Problem says that the rest is left out. fetch returns the content and file name at an
    address. Raises RequestError for an invalid range.
    """
    ranges = parse_ranges(pages)
    if frames < 1:
        raise RequestError("{found} frames cannot be taken: choose 1 or more.", found=frames)
    count = 0
    for source in sources:
        for found in find_in_source(str(source), ranges, frames, fetch):
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
    source: str, ranges: Ranges, frames: int, fetch: Callable[[str], tuple[bytes, str]]
) -> Iterator[Page | Problem]:
    """Yield the pages of one file, folder or address; see find_pages."""
    is_web = is_address(source)
    name = (source if is_web else Path(source).name or source)[:MAX_NAME]
    try:
        if is_web:
            content, name = fetch(source)
            yield from find_in_file(content, name, source, ranges, frames)
        elif Path(source).is_dir():
            for file, left_out in list_folder(Path(source)):
                if left_out is not None:
                    yield Problem(file.name, str(file), left_out, is_left_out=True)
                else:
                    yield from find_in_source(str(file), ranges, frames, fetch)
        else:
            check_file(Path(source), name)
            yield from find_in_file(Path(source), name, source, ranges, frames)
    except RequestError as error:
        yield Problem(name, source, error.text)
    except (OSError, ValueError) as error:  # a name too long or with a zero byte, a lost disk
        reason = getattr(error, "strerror", None) or str(error)
        message = Text("{name} cannot be opened ({reason}).", name=name, reason=reason)
        yield Problem(name, source[:MAX_NAME], message)


def find_in_file(
    data: Path | bytes, name: str, source: str, ranges: Ranges, frames: int
) -> Iterator[Page]:
    """Yield the pages or frames of one file; a plain image is one page.

    Raises RequestError for a file that cannot be opened or has none of the selected pages.
    """
    with open_binary(data) as file:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        content = hash_file(file)
        reader = recognize(head, name)
        is_several = reader == "coded" or (reader in HEADER_HERE and is_animated(file, name))
    kind: Kind = "picture"
    found: list[Found] = []
    if reader == "pdf":
        kind, count = "pdf", int(call_worker("count_pdf", data, name).values["count"])
        found = [(index, None) for index in range(count)]
    elif reader == "video":
        kind = "video"
        found = list(enumerate(call_worker("list_video", data, name).values["times"]))
    elif is_several:
        listed = call_worker("list_frames", data, name).values
        found = [(index, time) for index, time in listed["frames"]]
        kind = "tiff" if listed["format"] == "TIFF" else "animation"
    if kind == "picture" or (kind in ("tiff", "animation") and len(found) == 1):
        yield Page(name, source, content, None, data)
        return
    page = Page(name, source, content, None, data, kind, len(found), file=name)
    if kind in ("pdf", "tiff"):
        yield from take_pages(page, found, ranges)
    else:
        yield from take_frames(page, found, frames)


def hash_file(file: BinaryIO) -> str:
    """Return the SHA-256 of a stream in hex."""
    found = hashlib.sha256()
    while part := file.read(2**20):
        found.update(part)
    return found.hexdigest()


def is_animated(file: BinaryIO, name: str) -> bool:
    """True if an image file has several frames; False for a broken one, as opening tells."""
    try:
        with open_file(file, name) as image:
            return image.format != "MPO" and getattr(image, "is_animated", False)
    except Exception:  # of broken frames Pillow raises what their bytes lead to
        return False


def take_pages(page: Page, found: list[Found], ranges: Ranges) -> Iterator[Page]:
    """Yield the selected pages of a PDF or TIFF. Raises RequestError if there are none."""
    numbers = choose_pages(ranges, page.total)
    if not numbers:
        if not page.total:
            raise RequestError("{name} has no pages: save the document again.", name=page.name)
        raise RequestError(
            "{name} has {count} pages, and none of those asked for: choose from 1-{count}.",
            name=page.name,
            count=page.total,
        )
    for number in numbers:
        name = Text("{name}, page {number}", name=page.name, number=number)
        yield replace(page, name=name, number=found[number - 1][0] + 1)


def take_frames(page: Page, found: list[Found], frames: int) -> Iterator[Page]:
    """Yield up to `frames` frames of a video or animation, evenly spread, with their times."""
    begin = found[0][1] or 0.0
    for index in spread_evenly(page.total, frames):
        position = found[index][1] or 0.0
        name = Text(
            "{name}, frame {number} of {total} at {time}",
            name=page.name,
            number=index + 1,
            total=page.total,
            time=write_time(position - begin),
        )
        yield replace(
            page, name=name, number=index + 1, time=round(position - begin, 3), position=position
        )


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
def open_binary(data: Path | bytes) -> Iterator[BinaryIO]:
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
