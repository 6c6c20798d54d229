"""What the page, the estimate and the command line need of an engine, whatever runs behind it."""

import threading
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from phi3v.conversation.throughput import Throughput
from phi3v.request import Chunk, Request

if TYPE_CHECKING:
    from phi3v.model import Phi3VProcessor

# Seconds between empty chunks while there is no text: a page can close a stream only when it
# yields, not while it blocks.
HEARTBEAT_INTERVAL: Final = 0.2

# Shortest time between two chunks with text, in seconds: more often than anyone sees, and seldom
# enough to leave the generating thread its time.
READ_INTERVAL: Final = 0.05


class GenerationError(RuntimeError):
    """Generation failed for a reason that the user cannot fix; `__cause__` has it."""


class StreamingEngine(Protocol):
    """An engine that answers requests; phi3v.inference.Engine is one."""

    name: str
    quantize: str  # of the weights: "none", "8bit" or "4bit"

    @property
    def device(self) -> Any:
        """The device that computes."""

    @property
    def dtype(self) -> Any:
        """The number format of the weights."""

    @property
    def is_embedded(self) -> bool:
        """True for the embedded checkpoint."""

    def stream(
        self, request: Request, stop: threading.Event | None = None
    ) -> Generator[Chunk, None, None]:
        """Answer a request: chunks of text, then one chunk with the statistics.

        Setting `stop` ends the answer early, with its statistics; closing the iterator ends it
        without. Raises RequestError where the user can fix the request, else GenerationError.
        """


@runtime_checkable
class SizedEngine(Protocol):
    """An engine whose limits and speed are known, so that requests can be estimated."""

    processor: "Phi3VProcessor"
    throughput: Throughput

    @property
    def context_length(self) -> int:
        """The most tokens that prompt and answer may have together."""

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of keys and values that one token takes in all layers."""
