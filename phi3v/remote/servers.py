"""The state of each server and the choice among them; thread-safe.

Knows which servers answer, what they take and how many requests run on each; sends nothing.
"""

import hashlib
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from cachetools import LRUCache
from PIL import Image

from phi3v.request import Request, Turn
from phi3v.translatable import Text

# Requests that one server gets at once where it does not say how many it takes.
DEFAULT_CAPACITY: Final = 8

# A conversation stays with its server, which has its prefix cached, unless that one runs this many
# requests more than another: then computing the prefix again is quicker than waiting.
MOST_AHEAD: Final = 4

REMEMBERED: Final = 10_000  # conversations


@dataclass(eq=False)
class Server:
    """One server: `url` without a path, and what is known of it.

    problem says why it gets no requests; None if it answers. capacity is how many requests it
    takes at once, running how many of ours it has and others how many of other clients.
    model is what it calls its model, and models all that it offers. refused_fields are optional
    fields of a request that it does not take, accepted_fields those that it took once. rests_until
    is a time.monotonic() before which it asked for none.
    """

    url: str
    was_asked: bool = False
    problem: Text | None = None
    model: str = ""
    models: frozenset[str] = frozenset()
    context_length: int | None = None
    capacity: int = DEFAULT_CAPACITY
    running: int = 0
    others: int = 0
    rests_until: float = 0.0
    refused_fields: frozenset[str] = frozenset()
    accepted_fields: frozenset[str] = frozenset()

    @property
    def address(self) -> str:
        """Host and port, as shown to users."""
        return self.url.partition("//")[2]

    @property
    def is_up(self) -> bool:
        """True if it answered when it was asked last, and its model is known."""
        return self.was_asked and self.problem is None and bool(self.model)

    def name_model(self, request: Request) -> str:
        """Return what it calls the adapter or the model that a request chooses."""
        chosen = request.adapter or request.model or ""
        return chosen if chosen in self.models else self.model

    @property
    def load(self) -> int:
        """Requests that run there."""
        return self.running + self.others


@dataclass
class ServerPool:
    """Chooses a server for each request; `parallel` bounds all that run, None by capacities."""

    servers: Sequence[Server]
    parallel: int | None = None
    _lock: threading.Condition = field(default_factory=threading.Condition)
    _conversations: LRUCache[str, Server] = field(default_factory=lambda: LRUCache(REMEMBERED))

    @property
    def available(self) -> list[Server]:
        """The servers that answer."""
        return [server for server in self.servers if server.is_up]

    def take(self, request: Request, excluded: Collection[Server] = ()) -> Server | None:
        """Return the server for a request, which then counts as running; None while all are full.

        That is the one with the fewest running, or the one that has the conversation.
        """
        now = time.monotonic()
        with self._lock:
            if self.parallel and sum(server.running for server in self.servers) >= self.parallel:
                return None
            free = [
                server
                for server in self.available
                if server not in excluded and server.rests_until <= now
                # --parallel overrides what a server says
                if self.parallel or server.running < server.capacity
            ]
            if not free:
                return None
            least = min(free, key=lambda server: server.load)
            known = [self._conversations.get(key) for key in name_prefixes(request.turns[:-1])]
            keeping = next((server for server in reversed(known) if server in free), None)
            if keeping is not None and keeping.load < least.load + MOST_AHEAD:
                least = keeping
            least.running += 1
            return least

    def give_back(self, server: Server) -> None:
        """Count a request as ended."""
        with self._lock:
            server.running -= 1
            self._lock.notify_all()

    def remember(self, request: Request, server: Server) -> None:
        """Record which server has a conversation."""
        *_, key = name_prefixes(request.turns)
        with self._lock:
            self._conversations[key] = server

    def wait(self, seconds: float) -> None:
        """Wait until a request has ended, or for this long."""
        with self._lock:
            self._lock.wait(seconds)


def name_prefixes(turns: Sequence[Turn]) -> list[str]:
    """Return a key for the conversation up to each of its questions, in hex."""
    digest = hashlib.sha256()
    keys = []
    for turn in turns:
        digest.update(f"{turn.role} {len(turn.text)} {turn.text} ".encode())
        for image in turn.images:
            if isinstance(image, Image.Image):
                digest.update(hashlib.sha256(image.tobytes()).digest())
            else:
                digest.update(f"{image} ".encode())
        if turn.role == "user":
            keys.append(digest.hexdigest())
    return keys
