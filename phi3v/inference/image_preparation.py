"""Images of a request on their way from files to crops, before or during its turn.

Knows which images are prepared; the caller supplies the function that prepares one.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image
from transformers import BatchFeature

from phi3v.documents.images import open_image
from phi3v.request import ImageSource


@dataclass(frozen=True)
class PreparedImage:
    """An image identified by its pixels and the most crops it may be cut into.

    key is a SHA-256 of both. features are the image processor's tensors for this one image; None
    if the image's vision features were cached when it was prepared.
    """

    key: bytes
    image: Image.Image
    num_crops: int
    features: BatchFeature | None


class RequestImages:
    """The images of one request, prepared in order by whichever thread has time; thread-safe.

    images are the opened sources; prepare turns one into a PreparedImage.
    """

    def __init__(
        self,
        sources: Sequence[ImageSource],
        images: Sequence[Image.Image],
        prepare: Callable[[Image.Image], PreparedImage],
    ) -> None:
        self.total = len(sources)
        self._sources = sources
        self._images: Sequence[Image.Image] | None = images
        self._prepare = prepare
        self._prepared: list[PreparedImage] = []
        self._lock = threading.Lock()

    @property
    def num_prepared(self) -> int:
        """How many images are prepared."""
        return len(self._prepared)

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
            images = self._images
            image = images[index] if images else open_image(self._sources[index])
            self._prepared.append(self._prepare(image))
            return True

    def take(self) -> tuple[PreparedImage, ...]:
        """Return the prepared images and drop all references to them."""
        with self._lock:
            prepared, self._prepared, self._images = tuple(self._prepared), [], None
            return prepared
