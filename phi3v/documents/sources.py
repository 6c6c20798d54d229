"""Turns files that people hand in for a question into its images: pictures, pages and frames.

A plain picture stays a path, so that it is opened when it is its turn. Must not know the page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phi3v.documents.pages import Page, Problem, find_in_file, find_pages
from phi3v.documents.ranges import ALL_PAGES
from phi3v.documents.resolution import DEFAULT_FRAMES
from phi3v.request import ImageSource, RequestError

# Of all files of one question together: more than fits any context at its least detail.
MAX_IMAGES: Final = 400


@dataclass(frozen=True)
class Taken:
    """The pages or frames taken of one file, and how many it has."""

    pages: tuple[Page, ...]
    total: int

    @property
    def is_picture(self) -> bool:
        """True for a file of a single picture."""
        return self.pages[0].kind == "picture"


def take_pages(data: Path | bytes, name: str, frames: int = DEFAULT_FRAMES) -> Taken:
    """Return a picture, the first `frames` pages of a document, or so many frames evenly spread.

    data is a file or its content. Raises RequestError for one that cannot be read.
    """
    pages = tuple(find_in_file(data, name, name, ALL_PAGES, frames))
    return Taken(pages[:frames], pages[0].total)


def open_sources(
    files: Sequence[str | Path], frames: int = DEFAULT_FRAMES
) -> tuple[ImageSource, ...]:
    """Return the images of files, in order: pictures as paths, pages and frames opened.

    Of a PDF or TIFF all pages are taken, of a video or an animation up to `frames` frames. Raises
    RequestError for a file that cannot be read, and for more than MAX_IMAGES images.
    """
    return tuple(open_all(files, frames))


def open_all(files: Sequence[str | Path], frames: int) -> Iterator[ImageSource]:
    """Yield the images of files; see open_sources."""
    for page in find_pages(files, frames=frames, most_pages=MAX_IMAGES):
        if isinstance(page, Problem):
            raise RequestError(page.message)
        if page.kind == "picture" and isinstance(page.data, Path):
            yield page.data
        else:
            yield page.open()
