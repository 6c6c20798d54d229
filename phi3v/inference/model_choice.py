"""Offers several checkpoints, of which one is loaded at a time, the others when they are asked.

Knows which is loaded and who waits for which; knows neither how one is loaded nor the page.
"""

import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from phi3v.conversation.engine_protocol import HEARTBEAT_INTERVAL, EngineStatus
from phi3v.inference.background_loading import LoadingEngine
from phi3v.request import Chunk, Request, RequestError

if TYPE_CHECKING:
    from phi3v.inference.engine import Engine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Offer:
    """A checkpoint's name, the function that loads it, and the bytes that its weights take.

    The bytes are None for a hub id that has not been downloaded.
    """

    checkpoint: str
    load: Callable[..., "Engine"]
    weight_bytes: int | None = None


@dataclass(frozen=True, eq=False)
class Ticket:
    """A request that waits for its model, or is answered by it."""

    model: str


class ModelChoice(LoadingEngine):
    """A LoadingEngine whose checkpoint changes: that of the request whose turn it is.

    `offers` are the models by the names that requests choose from; the first is loaded at once and
    answers requests that choose none. Requests keep their order, so that
    those for one model do not keep another's waiting for ever: a model is replaced once all
    requests before have been answered, and its memory is free before the next one is loaded.
    """

    def __init__(self, offers: Mapping[str, Offer]) -> None:
        self.offers = dict(offers)
        self.model = next(iter(offers))
        self._waiting: list[Ticket] = []
        self._admitted: list[Ticket] = []
        self._lock = threading.Lock()
        super().__init__(offers[self.model].load, offers[self.model].checkpoint)

    @property
    def status(self) -> EngineStatus:
        """As LoadingEngine's; another model may be asked at any time."""
        return replace(super().status, is_final=False)

    def stream(
        self, request: Request, stop: threading.Event | None = None
    ) -> Generator[Chunk, None, None]:
        """Answer as LoadingEngine.stream does, with the model that the request chooses.

        Until that can be loaded the phase is "waiting", with the position among all requests. The
        statistics name the model. Raises RequestError for a model that is not offered.
        """
        ticket = Ticket(next(iter(self.offers)) if request.model is None else request.model)
        if ticket.model not in self.offers:
            raise RequestError(
                "There is no model {name!r}; there is: {known}.",
                name=ticket.model,
                known=", ".join(self.offers),
            )
        with self._lock:
            self._waiting.append(ticket)
        try:
            while not self._admit(ticket):
                if stop is not None and stop.is_set():
                    return
                yield self._describe_waiting(ticket)
                time.sleep(HEARTBEAT_INTERVAL)
            with closing(super().stream(request, stop)) as chunks:
                for chunk in chunks:
                    yield name_model(chunk, ticket.model)
        finally:
            with self._lock:
                for tickets in (self._waiting, self._admitted):
                    if ticket in tickets:
                        tickets.remove(ticket)

    def _admit(self, ticket: Ticket) -> bool:
        """Let a request to its model if it is the first that waits; load that model if it can."""
        with self._lock:
            if self._waiting[0] is not ticket:
                return False
            is_other = ticket.model != self.model
            # One that could not be loaded is tried again by the next who asks.
            if (is_other or self.error) and not self._admitted and not self.is_loading:
                self._replace(ticket.model)
                is_other = False
            if is_other:
                return False
            self._admitted.append(self._waiting.pop(0))
            return True

    def _replace(self, model: str) -> None:
        """Free the loaded model, and begin to load another."""
        offer, engine = self.offers[model], self.engine
        logger.info("%s is replaced by %s.", self.model, model)
        self.model = model
        if engine is not None:
            engine.close()
        self._begin(offer.load, offer.checkpoint)

    def _describe_waiting(self, ticket: Ticket) -> Chunk:
        with self._lock:
            before = self._waiting.index(ticket)
            # As in the engine's own queue, the request that is being answered does not count.
            ahead = max(0, len(self._admitted) - 1)
            number, total = 1 + before + ahead, len(self._waiting) + ahead
        return Chunk("", phase="waiting", number=number, total=total)


def name_model(chunk: Chunk, name: str) -> Chunk:
    """Return a chunk whose statistics, if it has any, name the model."""
    if chunk.statistics is None:
        return chunk
    return replace(chunk, statistics=replace(chunk.statistics, model=name))


def name_offers(offers: Sequence[Offer]) -> dict[str, Offer]:
    """Return models by the names to choose from: of a folder the last part, numbered if needed."""
    named: dict[str, Offer] = {}
    for offer in offers:
        path = Path(offer.checkpoint).expanduser()
        name = base = path.resolve().name if path.is_dir() else offer.checkpoint
        number = 1
        while name in named:
            number += 1
            name = f"{base} ({number})"
        named[name] = offer
    return named
