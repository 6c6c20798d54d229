"""The line in which requests wait for the one thread that answers them.

Knows places and nothing else: neither what waits nor for how long.
"""

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Line(Generic[Item]):
    """Items in order of arrival, each known by its identity; any thread may call."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._changed = threading.Condition()

    def join(self, item: Item) -> None:
        """Take the last place."""
        with self._changed:
            self._items.append(item)
            self._changed.notify()

    def leave(self, item: Item) -> None:
        """Give the place up, if there still is one: those behind move on."""
        with self._changed:
            self._items = [other for other in self._items if other is not item]

    def take(self) -> Item:
        """Take the first out, waiting until there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self._items)
            return self._items.pop(0)

    def place(self, item: Item) -> tuple[int, int]:
        """An item's place, 1 being the next (0: it does not wait), and how many wait."""
        with self._changed:
            places = [number for number, other in enumerate(self._items, 1) if other is item]
            return (places[0] if places else 0), len(self._items)
