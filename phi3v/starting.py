"""An engine whose network is still being loaded: a page can be shown meanwhile.

Knows when loading ends and how; knows neither what is loaded nor the page.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from phi3v.checkpoint import EMBEDDED
from phi3v.engine import READ_INTERVAL, SIGN_OF_LIFE_INTERVAL, Engine, GenerationError
from phi3v.line import Line
from phi3v.request import Chunk, Request, RequestError

logger = logging.getLogger(__name__)


class StartingEngine:
    """Loads an engine in a thread of its own, and warms it up on CUDA; early requests wait for it.

    name is the checkpoint's. The loaded engine is `engine`, None until then; what prevented it is
    `error`.
    """

    def __init__(self, load: Callable[[], Engine], name: str) -> None:
        self.name = name
        self.engine: Engine | None = None
        self.error: Exception | None = None
        self._load = load
        self._early: Line[object] = Line()
        self._is_over = threading.Event()
        threading.Thread(target=self._run, name="phi3v-load", daemon=True).start()

    def _run(self) -> None:
        try:
            engine = self._load()
            if str(engine.device).startswith("cuda"):
                engine.warm_up()
            self.engine = engine
            logger.info("%s is ready.", self.name)
        except RequestError as error:
            self.error = error
            logger.error("%s", error)
        except Exception as error:  # whatever it is, every request is told
            self.error = error
            logger.exception("%s could not be loaded.", self.name)
        finally:
            self._is_over.set()

    @property
    def is_starting(self) -> bool:
        """Whether the network is neither in place nor given up."""
        return not self._is_over.is_set()

    @property
    def is_embedded(self) -> bool:
        """Whether this is, or will be, the small network that comes with the project."""
        return self.name == EMBEDDED if self.engine is None else self.engine.is_embedded

    def stream(self, request: Request, stop: threading.Event | None = None) -> Iterator[Chunk]:
        """Answer as Engine.stream does, after chunks whose phase is "loading" until then.

        Those who came early go on in the order in which they came. Stopped before that, it ends
        without any figures.
        Raises RequestError or GenerationError where the network could not be loaded.
        """
        early = object()
        if self.is_starting:
            self._early.join(early)
        try:
            while not self._is_over.wait(SIGN_OF_LIFE_INTERVAL) or self._early.place(early)[0] > 1:
                if stop is not None and stop.is_set():
                    return
                yield Chunk("", phase="loading")
                time.sleep(READ_INTERVAL)
            chunks = self._loaded().stream(request, stop)
            first = next(chunks)  # from here on it stands in the engine's own line
        finally:
            self._early.leave(early)
        with closing(chunks):
            yield first
            yield from chunks

    def _loaded(self) -> Engine:
        if isinstance(self.error, RequestError):
            raise RequestError(self.error.text) from self.error
        if self.engine is None:
            raise GenerationError("The network could not be loaded.") from self.error
        return self.engine
