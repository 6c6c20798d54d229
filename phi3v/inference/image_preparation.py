"""Images of a request on their way from files to crops, before or during its turn.

Knows which images are prepared; the caller supplies the function that prepares one.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from PIL import Image
from transformers import BatchFeature

from phi3v.documents.heap import trim_heap
from phi3v.documents.images import open_image
from phi3v.request import ImageSource, RequestError

# From 64 MB on, as Pillow holds them, an image's memory is given back at once.
LARGE_PIXELS = 16_000_000


@dataclass(frozen=True)
class PreparedImage:
    """An image identified by its pixels and the most crops it may be cut into; without its pixels.

    key is a SHA-256 of both, size (width, height). features are the image processor's tensors for
    this one image; None if its vision features were cached, which are then `encoded`, (tokens, D).
    """

    key: bytes
    size: tuple[int, int]
    num_crops: int
    features: BatchFeature | None
    encoded: torch.Tensor | None = None


class RequestImages:
    """The images of one request, prepared in order by whichever thread has time; thread-safe.

    sizes are their measured widths and heights; prepare turns an opened one into a PreparedImage.
    """

    def __init__(
        self,
        sources: Sequence[ImageSource],
        sizes: Sequence[tuple[int, int]],
        prepare: Callable[[Image.Image], PreparedImage],
    ) -> None:
        self.total = len(sources)
        self._sources = sources
        self._sizes = sizes
        self._images: list[Image.Image] | None = None
        self._prepare = prepare
        self._prepared: list[PreparedImage] = []
        self._lock = threading.Lock()

    @property
    def num_prepared(self) -> int:
        """How many images are prepared."""
        return len(self._prepared)

    @property
    def held_pixels(self) -> int:
        """How many pixels of opened images are held."""
        return sum(image.width * image.height for image in self._images or ())

    def open(self, room: int, opening: threading.Lock) -> None:
        """Open each image once, to refuse a damaged one before the request is queued.

        They are held if they have at most `room` pixels together, and opened again when they are
        prepared otherwise. The lock is that of all requests: one image is decoded at a time.
        Raises RequestError for an image that is damaged or not of its measured size.
        """
        is_held = sum(width * height for width, height in self._sizes) <= room
        images = []
        for source, size in zip(self._sources, self._sizes, strict=True):
            with opening, trimming(size):
                image = open_image(source)
                check_measured(image, size)
                if is_held:
                    images.append(image)
                del image
        self._images = images if is_held else None

    def close(self) -> None:
        """Drop the opened images to free memory; prepare_next opens them again."""
        self._images = None

    def prepare_next(self, report: Callable[[int], None] | None = None) -> bool:
        """Prepare the next image, if any is left; return whether there was one.

        `report` is called with its index first. Blocks while another thread prepares one. Raises
        RequestError for a file that is gone, and whatever `report` raises.
        """
        with self._lock:
            index = self.num_prepared
            if index == self.total:
                return False
            if report is not None:
                report(index)
            with trimming(self._sizes[index]):
                images = self._images
                image = images[index] if images else open_image(self._sources[index])
                check_measured(image, self._sizes[index])
                self._prepared.append(self._prepare(image))
                del image
            return True

    def take(self) -> tuple[PreparedImage, ...]:
        """Return the prepared images and drop all references to them."""
        with self._lock:
            prepared, self._prepared, self._images = tuple(self._prepared), [], None
            return prepared


@contextmanager
def trimming(size: tuple[int, int]) -> Iterator[None]:
    """Give back to the system what a large image, of (width, height), took and has freed."""
    try:
        yield
    finally:
        if size[0] * size[1] >= LARGE_PIXELS:
            trim_heap()


def check_measured(image: Image.Image, size: tuple[int, int]) -> None:
    """Raise RequestError for an image of another size than the one its tokens were counted for."""
    if image.size != size:
        raise RequestError(
            "A picture was measured as {width} x {height} pixels and opened with others: its file "
            "is garbled or has changed. Save or upload it again.",
            width=size[0],
            height=size[1],
        )
