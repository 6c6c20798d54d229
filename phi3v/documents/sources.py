"""Turns files that people hand in for a question into its images: pictures, pages and frames.

A plain picture stays a path, so that it is opened when it is its turn. Must not know the page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phi3v.documents.pages import Page, Problem, find_in_file, find_pages
from phi3v.documents.ranges import ALL_PAGES
from phi3v.documents.resolution import DEFAULT_FRAMES, spread_evenly
from phi3v.request import ImageSource, RequestError

# Of all files of one question together: more than fits any context at its least detail.
MAX_IMAGES: Final = 400

# How many of so many images of a size, (width, height) in pixels, fit the context.
Fit = Callable[[tuple[int, int], int], int]


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
    files: Sequence[str | Path], frames: int = DEFAULT_FRAMES, fit: Fit | None = None
) -> tuple[ImageSource, ...]:
    """Return the images of files, in order: pictures as paths, pages and frames opened.

    Of a PDF or TIFF all pages are taken, of a video or an animation up to `frames` frames, and no
    more than fit allows. Raises RequestError for a file that cannot be read, and for more than
    MAX_IMAGES images.
    """
    images: list[ImageSource] = []
    for file in files:
        pages = read_pages(file, frames, MAX_IMAGES - len(images))
        if fit is not None and len(pages) > 1 and pages[0].time is not None:
            count = fit(pages[0].open().size, len(pages))
            pages = [pages[index] for index in spread_evenly(len(pages), count)]
        images += (
            page.data if page.kind == "picture" and isinstance(page.data, Path) else page.open()
            for page in pages
        )
    return tuple(images)


def read_pages(file: str | Path, frames: int, most: int) -> list[Page]:
    """Return the pages of one file, at most `most`. Raises RequestError for any problem."""
    pages = []
    for page in find_pages([file], frames=frames, most_pages=most):
        if isinstance(page, Problem):
            raise RequestError(page.message)
        pages.append(page)
    return pages
