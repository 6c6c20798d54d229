"""Running answers of all sessions by ticket, and requests to stop them; thread-safe.

Gradio's own `cancels` closes the browser's event stream, and whatever the same browser asks before
the server has noticed is dropped with it (gradio 6.31, `sse_stream` in routes.py; seen on busy
machines). So Stop and Clear set a flag that the answering generator reads at its next step, and
every event ends by itself.
"""

import threading
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

# Far more than can run at once; entries of answers that never started are dropped beyond it.
MAX_ENTRIES: Final = 20_000


@dataclass
class Run:
    """One answer: whether its generator has started, and what its user has asked for since."""

    is_started: bool = False
    is_stopped: bool = False
    is_discarded: bool = False


class RunningAnswers:
    """Answers from the moment they are asked for until their generator ends."""

    def __init__(self) -> None:
        self._runs: LRUCache[str, Run] = LRUCache(MAX_ENTRIES)
        self._lock = threading.Lock()

    def begin(self, ticket: str) -> None:
        """Register an answer that has been asked for."""
        with self._lock:
            self._runs[ticket] = Run()

    def start(self, ticket: str) -> None:
        """Record that an answer's generator has started."""
        self._find(ticket).is_started = True

    def stop(self, ticket: str, is_discarded: bool = False) -> None:
        """Ask an answer's generator to end; with is_discarded, nothing of it is to be shown."""
        run = self._find(ticket)
        run.is_stopped = True
        run.is_discarded = is_discarded

    def end(self, ticket: str) -> None:
        """Record that an answer's generator has ended, or will never start."""
        self.stop(ticket, self._find(ticket).is_discarded)

    def end_unstarted(self, ticket: str) -> None:
        """Record that an answer was refused before its generator started."""
        if not self._find(ticket).is_started:
            self.end(ticket)

    def is_running(self, ticket: str) -> bool:
        """True from begin until the answer is stopped or has ended."""
        with self._lock:
            return ticket in self._runs and not self._runs[ticket].is_stopped

    def is_stopped(self, ticket: str) -> bool:
        """True once the answer is stopped or has ended."""
        return self._find(ticket).is_stopped

    def is_discarded(self, ticket: str) -> bool:
        """True once the user has cleared what the answer belongs to."""
        return self._find(ticket).is_discarded

    def _find(self, ticket: str) -> Run:
        with self._lock:
            return self._runs.get(ticket) or Run()


ANSWERS: Final = RunningAnswers()
