"""Counts the requests of /v1 together with those of the page, so that one limit holds for both.

Gradio's queue knows the page's events alone. Knows counts; must not know what a request is.
"""

import threading
from functools import partial
from typing import Any, Final

import gradio as gr

# The concurrency_id of all events that call the engine, see phi3v.ui.wiring.
ENGINE: Final = "engine"


class QueueLimit:
    """The number of /v1 requests that are answered or wait, and the most of all together.

    capacity counts the request that is being answered too. Thread-safe.
    """

    def __init__(self, page: gr.Blocks, capacity: int) -> None:
        self.capacity = capacity
        self.own = 0
        self._page = page
        self._lock = threading.Lock()

    @property
    def is_full(self) -> bool:
        """True if page and /v1 together have as many requests as may be."""
        return self.own + self._count_page() >= self.capacity

    def enter(self) -> bool:
        """Take a place for a request of /v1; return False if there is none."""
        with self._lock:
            if self.is_full:
                return False
            self.own += 1
            return True

    def leave(self) -> None:
        """Give a place back."""
        with self._lock:
            self.own -= 1

    def _count_page(self) -> int:
        """Return the number of the page's events that call the engine or wait to do so."""
        events = self._page._queue.event_queue_per_concurrency_id.get(ENGINE)
        return 0 if events is None else len(events.queue) + events.current_concurrency


def limit_queue(page: gr.Blocks, capacity: int) -> QueueLimit:
    """Return the limit of a page's queue, and make the page refuse what exceeds it."""
    limit = QueueLimit(page, capacity)
    page._queue.push = partial(push_counted, page._queue.push, page, limit)
    return limit


async def push_counted(
    push: Any, page: gr.Blocks, limit: QueueLimit, body: Any, **more: Any
) -> Any:
    """Queue an event as Gradio does, unless requests of /v1 have taken its place."""
    event = page.fns.get(body.fn_index)
    if limit.own and limit.is_full and event is not None and event.concurrency_id == ENGINE:
        return False, f"Queue is full. Max size is {limit.capacity - 1}.", "queue_full"
    return await push(body=body, **more)
