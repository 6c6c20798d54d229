"""Parses choices of pages like "1-3,7" or "5-". Must not know documents."""

import re
from typing import Final

from phi3v.request import RequestError

Ranges = tuple[tuple[int, int | None], ...]

ALL_PAGES: Final[Ranges] = ((1, None),)


def parse_ranges(text: str) -> Ranges:
    """Parse page ranges like "1-3,7" or "5-"; "" is all, (1, None).

    Raises RequestError for other syntax and for ranges that begin below 1 or end before they begin.
    """
    if not text.strip():
        return ALL_PAGES
    ranges = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,6})\s*(-)?\s*(\d{1,6})?\s*", part)
        if found is None or (found[3] and not found[2]):
            raise RequestError(
                "{found!r} is no choice of pages: write numbers and ranges with commas "
                "between them, like 1-3,7 or 5- (from the fifth on).",
                found=text[:60],
            )
        first = int(found[1])
        last = int(found[3]) if found[3] else None if found[2] else first
        if first < 1 or (last is not None and last < first):
            raise RequestError(
                "{found!r} is no range of pages: pages count from 1, and the smaller "
                "number comes first, like 2-5.",
                found=part.strip(),
            )
        ranges.append((first, last))
    return tuple(ranges)


def choose_pages(ranges: Ranges, count: int) -> list[int]:
    """Return the page numbers within the ranges, up to `count`, ascending and unique."""
    chosen: set[int] = set()
    for first, last in ranges:
        chosen.update(range(first, min(last or count, count) + 1))
    return sorted(chosen)
