"""FIFO queue of requests with positions; thread-safe.

Knows neither what a request is nor how long it takes.
"""

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class RequestQueue(Generic[Item]):
    """FIFO queue whose items can be removed from anywhere; items are compared by identity."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._changed = threading.Condition()

    def put(self, item: Item) -> None:
        """Append an item."""
        with self._changed:
            self._items.append(item)
            self._changed.notify()

    def remove(self, item: Item) -> None:
        """Remove an item, if it is still queued."""
        with self._changed:
            self._items = [other for other in self._items if other is not item]

    def get(self) -> Item:
        """Remove and return the first item; blocks while the queue is empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._items)
            return self._items.pop(0)

    def position(self, item: Item) -> tuple[int, int]:
        """Return an item's position (1 is next, 0 not queued) and the queue's length."""
        with self._changed:
            positions = [number for number, other in enumerate(self._items, 1) if other is item]
            return (positions[0] if positions else 0), len(self._items)
