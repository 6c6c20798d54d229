"""Loads an engine in a background thread while the page is already served.

Knows when loading ends and how; knows neither what is loaded nor the page.
"""

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from phi3v.conversation.engine_protocol import (
    HEARTBEAT_INTERVAL,
    READ_INTERVAL,
    EngineStatus,
    GenerationError,
    SizedEngine,
)
from phi3v.conversation.request_queue import RequestQueue
from phi3v.inference.checkpoint_files import EMBEDDED
from phi3v.request import Chunk, Request, RequestError

if TYPE_CHECKING:
    from phi3v.inference.engine import Engine

logger = logging.getLogger(__name__)


class LoadingEngine:
    """An engine that is loaded, and on CUDA warmed up, in a thread of its own.

    name is the checkpoint's, or "auto" until it is chosen. engine is the loaded engine, None until
    then; error is what prevented loading. Requests that come early wait.
    """

    def __init__(self, load: Callable[[], "Engine"], name: str) -> None:
        self._early: RequestQueue[object] = RequestQueue()
        self._is_over = threading.Event()
        self._begin(load, name)

    def _begin(self, load: Callable[[], "Engine"], name: str) -> None:
        """Load a checkpoint in place of what was loaded before."""
        self.name = name
        self.engine: Engine | None = None
        self.error: BaseException | None = None
        self._is_over.clear()
        threading.Thread(target=self._run, args=(load,), name="phi3v-load", daemon=True).start()

    def _run(self, load: Callable[[], "Engine"]) -> None:
        try:
            engine = load()
            if str(engine.device).startswith("cuda"):
                engine.warm_up()
            self.name = engine.name
            self.engine = engine
            logger.info("%s is ready.", self.name)
        except RequestError as error:
            self.error = error
            logger.error("%s", error)
        except BaseException as error:  # whatever it is, every request is told
            self.error = error
            logger.exception("%s could not be loaded.", self.name)
        finally:
            self._is_over.set()

    @property
    def is_loading(self) -> bool:
        """True until the engine is loaded or has failed to."""
        return not self._is_over.is_set()

    @property
    def is_embedded(self) -> bool:
        """True if this is, or will be, the embedded checkpoint."""
        return self.name == EMBEDDED if self.engine is None else self.engine.is_embedded

    @property
    def quantize(self) -> str:
        """The quantization of the weights; "none" until they are loaded."""
        return "none" if self.engine is None else self.engine.quantize

    @property
    def device(self) -> Any:
        """The device that computes; "" until it is chosen."""
        return "" if self.engine is None else self.engine.device

    @property
    def dtype(self) -> Any:
        """The number format of the weights; "" until it is chosen."""
        return "" if self.engine is None else self.engine.dtype

    @property
    def revision(self) -> str:
        """The revision of the checkpoint's files; "" until they are loaded."""
        return "" if self.engine is None else self.engine.revision

    @property
    def sized(self) -> SizedEngine | None:
        """The loaded engine, if its limits are known; None until then."""
        return None if self.engine is None else self.engine.sized

    @property
    def status(self) -> EngineStatus:
        """Whether the model is loading, loaded, or could not be."""
        if self.is_loading:
            return EngineStatus("loading", is_final=False)
        if self.engine is None:
            reason = self.error.text if isinstance(self.error, RequestError) else None
            return EngineStatus("failed", reason)
        return self.engine.status

    def stream(
        self, request: Request, stop: threading.Event | None = None
    ) -> Generator[Chunk, None, None]:
        """Answer as Engine.stream does, after chunks with the phase "loading" until then.

        Early requests keep their order. One that is stopped before the engine is loaded ends
        without statistics. Raises RequestError or GenerationError where loading failed.
        """
        ticket = object()
        if self.is_loading:
            self._early.put(ticket)
        try:
            while not self._is_over.wait(HEARTBEAT_INTERVAL) or self._early.position(ticket)[0] > 1:
                if stop is not None and stop.is_set():
                    return
                yield Chunk("", phase="loading")
                time.sleep(READ_INTERVAL)
            chunks = self._loaded().stream(request, stop)
            first = next(chunks)  # from here on it is in the engine's own queue
        finally:
            self._early.remove(ticket)
        with closing(chunks):
            yield first
            yield from chunks

    def _loaded(self) -> "Engine":
        if isinstance(self.error, RequestError):
            raise RequestError(self.error.text) from self.error
        if self.engine is None:
            raise GenerationError("The model could not be loaded.") from self.error
        return self.engine
