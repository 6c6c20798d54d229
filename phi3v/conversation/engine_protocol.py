"""What the page, the estimate and the command line need of an engine, whatever runs behind it."""

import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from phi3v.conversation.throughput import Throughput
from phi3v.request import Chunk, Request, RequestError
from phi3v.translatable import Text

# Seconds between empty chunks while there is no text: a page can close a stream only when it
# yields, not while it blocks.
HEARTBEAT_INTERVAL: Final = 0.2

# Shortest time between two chunks with text, in seconds: more often than anyone sees, and seldom
# enough to leave the generating thread its time.
READ_INTERVAL: Final = 0.05


class GenerationError(RuntimeError):
    """Generation failed for a reason that the user cannot fix; `__cause__` has it."""


class BrokenWeightsError(RequestError):
    """The model cannot answer anything: another checkpoint is needed, not another request."""


@dataclass(frozen=True)
class EngineStatus:
    """Whether an engine answers, for the page's note.

    state is "loading", "ready", "failed" (it will never answer) or "unreachable" (it answers once
    its server does). problem says what is wrong and what to do; an engine that is ready may have
    one too. is_final is True if none of this can change.
    """

    state: Literal["loading", "ready", "failed", "unreachable"] = "ready"
    problem: Text | None = None
    is_final: bool = True


class PromptProcessor(Protocol):
    """What prompts and estimates need of a checkpoint's processor.

    phi3v.model.Phi3VProcessor is one, and phi3v.conversation.checkpoint_processor has another,
    which needs no torch.
    """

    @property
    def tokenizer(self) -> Any:
        """transformers' PreTrainedTokenizerFast, or what has its methods."""

    @property
    def image_processor(self) -> Any:
        """Phi3VImageProcessor, or what has its auto_num_crops and is_enough."""

    def count_tokens(
        self, text: str, sizes: list[tuple[int, int]], num_crops: int
    ) -> tuple[int, int]:
        """Return how many tokens a prompt takes, of text and of images."""


class SizedEngine(Protocol):
    """An engine whose limits and speed are known, so that requests can be estimated."""

    throughput: Throughput

    @property
    def processor(self) -> PromptProcessor:
        """What its prompts are made with."""

    @property
    def context_length(self) -> int:
        """The most tokens that prompt and answer may have together."""

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of keys and values that one token takes in all layers."""


class StreamingEngine(Protocol):
    """An engine that answers requests.

    phi3v.inference.Engine is one, LoadingEngine is one while its model is still loading, and
    phi3v.remote.RemoteEngine has servers behind it.
    """

    @property
    def name(self) -> str:
        """The checkpoint's name: "embedded", a folder or a hub id; "auto" until it is chosen."""

    @property
    def quantize(self) -> str:
        """The quantization of the weights: "none", "8bit" or "4bit"."""

    @property
    def device(self) -> Any:
        """The device that computes, or the servers."""

    @property
    def dtype(self) -> Any:
        """The number format of the weights; "" if it is not known."""

    @property
    def is_embedded(self) -> bool:
        """True for the embedded checkpoint."""

    @property
    def revision(self) -> str:
        """The revision of the checkpoint's files; "" if it is not known."""

    @property
    def status(self) -> EngineStatus:
        """Whether it answers, and else why."""

    @property
    def sized(self) -> SizedEngine | None:
        """The engine if its limits are known; None while they are not."""

    def stream(
        self, request: Request, stop: threading.Event | None = None
    ) -> Generator[Chunk, None, None]:
        """Answer a request: chunks of text, then one chunk with the statistics.

        Setting `stop` ends the answer early, with its statistics; closing the iterator ends it
        without. Raises RequestError where the user can fix the request, else GenerationError.
        """
