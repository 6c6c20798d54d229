"""A request's pictures on their way from files to crops, before or at its turn.

Knows which of them are done; what preparing one means it is told.
"""

import threading
from collections.abc import Callable, Sequence

from PIL import Image

from phi3v.images import open_image
from phi3v.request import ImageSource
from phi3v.reuse import Picture


class Pictures:
    """The pictures of one request, prepared one after the other by whichever thread has time.

    images are the sources opened. prepare makes of one what the vision tower takes.
    """

    def __init__(
        self,
        sources: Sequence[ImageSource],
        images: Sequence[Image.Image],
        prepare: Callable[[Image.Image], Picture],
    ) -> None:
        self.total = len(sources)
        self._sources = sources
        self._images: Sequence[Image.Image] | None = images
        self._prepare = prepare
        self._done: list[Picture] = []
        self._lock = threading.Lock()

    @property
    def done(self) -> int:
        """How many are prepared."""
        return len(self._done)

    def close(self) -> None:
        """Let go of the opened pictures until they are prepared: they are opened again then."""
        self._images = None

    def prepare_next(self, report: Callable[[int], None] | None = None) -> bool:
        """Prepare one more, if there is one left; whether there was. report is told its index.

        Waits while another thread prepares one. Raises RequestError for a file that is gone, and
        what report raises.
        """
        with self._lock:
            if self.done == self.total:
                return False
            if report is not None:
                report(self.done)
            images = self._images
            image = images[self.done] if images else open_image(self._sources[self.done])
            self._done.append(self._prepare(image))
            return True

    def take(self) -> tuple[Picture, ...]:
        """Hand over all that is prepared; nothing is kept here."""
        with self._lock:
            done, self._done, self._images = tuple(self._done), [], None
            return done
