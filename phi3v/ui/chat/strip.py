"""The strip of a document's pages or a video's frames, from which pictures are chosen.

A click on one adds it to a conversation's pictures. Knows nothing of questions and answers.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import gradio as gr
from gradio.processing_utils import save_pil_to_cache
from PIL import Image

from phi3v.documents.formats import DOCUMENT_TYPES
from phi3v.documents.pages import Page, Problem, find_pages
from phi3v.documents.resolution import DEFAULT_FRAMES
from phi3v.documents.sources import Taken
from phi3v.request import RequestError
from phi3v.ui import words
from phi3v.ui.chat.conversation import name_frame_file, to_gallery
from phi3v.ui.i18n.languages import translate
from phi3v.ui.notices import inform, warn
from phi3v.ui.ocr.words import PAGES, PAGES_HINT
from phi3v.ui.wiring import QUIET, Shown, files_of

# Rendering a page takes about a tenth of a second; of a longer document a range is chosen.
MAX_PAGES: Final = 60
MAX_FRAMES: Final = 64
# Longer side of a page in the strip, in pixels.
THUMBNAIL: Final = 240
# Strips drawn at a time for all users: each keeps a worker process busy.
STRIP_QUEUE: Final[dict[str, Any]] = {"concurrency_id": "strip", "concurrency_limit": 2}


@dataclass(frozen=True)
class Strip:
    """The components; pages is session state, the pages in the strip in its order."""

    pages: gr.State
    file: gr.File
    range: gr.Textbox
    frames: gr.Slider
    shown: gr.Gallery
    add_all: gr.Button


def lay_out_strip() -> Strip:
    """Create the strip, closed and empty."""
    with gr.Accordion(words.FROM_DOCUMENT, open=False):
        file = gr.File(label=words.DOCUMENT, file_types=DOCUMENT_TYPES, height=100)
        pages = gr.Textbox(label=PAGES, placeholder=PAGES_HINT, max_lines=1)
        frames = gr.Slider(1, MAX_FRAMES, DEFAULT_FRAMES, step=1, label=words.FRAMES)
        shown = gr.Gallery(
            label=words.STRIP,
            columns=4,
            height=220,
            object_fit="contain",
            format="png",
            allow_preview=False,
            interactive=False,
            visible=False,
            buttons=[],
        )
        add_all = gr.Button(words.ADD_ALL, visible=False, size="md")
    return Strip(gr.State(()), file, pages, frames, shown, add_all)


def connect_strip(strip: Strip, pictures: gr.Gallery) -> list[Any]:
    """Attach the events; return those that add pictures."""
    cache = pictures.GRADIO_CACHE
    asked = [strip.file, strip.range, strip.frames]
    drawn = [strip.pages, strip.shown, strip.add_all]
    for change in (strip.file.change, strip.range.submit, strip.frames.release):
        change(draw_strip, asked, drawn, trigger_mode="always_last", **QUIET, **STRIP_QUEUE)

    def add_clicked(event: gr.SelectData, pages: tuple[Page, ...], shown: Shown) -> Any:
        return add_pages(cache, pages[event.index : event.index + 1], shown)

    inputs = [strip.pages, pictures]
    return [
        strip.shown.select(add_clicked, inputs, pictures, **QUIET),
        strip.add_all.click(partial(add_pages, cache), inputs, pictures, **QUIET),
    ]


def draw_strip(
    file: str | None, pages: str, frames: float
) -> Generator[tuple[Any, ...], None, None]:
    """Yield the pages, the strip and the button while pages are drawn one by one."""
    yield (), gr.Gallery([], visible=False), gr.Button(visible=False)
    if not file:
        return
    drawn: list[tuple[Page, Image.Image]] = []
    try:
        with closing(open_strip(file, pages, int(frames))) as opened:
            for pair in opened:
                drawn.append(pair)
                gallery = [(image, describe_page(page)) for page, image in drawn]
                button = gr.Button(visible=len(drawn) > 1)
                yield tuple(page for page, _ in drawn), gr.Gallery(gallery, visible=True), button
    except RequestError as error:
        warn(error.text)


def open_strip(
    file: str, pages: str, frames: int
) -> Generator[tuple[Page, Image.Image], None, None]:
    """Yield a file's pages or frames with small pictures of them; warn of those without one.

    Raises RequestError for an invalid choice of pages.
    """
    for page in find_pages([file], pages, frames=frames, most_pages=MAX_PAGES):
        if isinstance(page, Problem):
            warn(page.message)
            continue
        try:
            image = page.open()
        except RequestError as error:
            warn(error.text)
            continue
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        yield page, image


def describe_page(page: Page) -> str:
    """Return a page's caption in the strip."""
    if page.time is not None:
        return translate(words.frame_at(page.time))
    return translate(words.page_number(page.number or 1))


def add_pages(cache: str, pages: tuple[Page, ...], shown: Shown) -> Any:
    """Return the gallery with pages added; what cannot be opened is warned of."""
    return to_gallery([*files_of(shown), *save_pages(cache, pages)])


def save_pages(cache: str, pages: tuple[Page, ...]) -> list[str]:
    """Write pages as PNG files into the page's cache and return their paths."""
    files = []
    for page in pages:
        try:
            files.append(save_pil_to_cache(page.open(), cache, name_frame_file(page.time), "png"))
        except RequestError as error:
            warn(error.text)
    return files


def save_taken(cache: str, taken: Taken) -> list[object]:
    """Save what was taken of a document or video, and say how many pages or frames it has."""
    if len(taken.pages) < taken.total:
        inform(words.taken(len(taken.pages), taken.total))
    return list(save_pages(cache, taken.pages))
