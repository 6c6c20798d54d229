"""Running medians of an engine's prefill and decode speed, from the statistics of its answers."""

from collections import deque
from statistics import median
from typing import Final

from phi3v.request import Statistics

WINDOW: Final = 20  # answers; a machine's other load comes and goes


class Throughput:
    """Seconds per prompt token and per generated token: medians over the last answers."""

    def __init__(self) -> None:
        self._prefill: deque[float] = deque(maxlen=WINDOW)
        self._decode: deque[float] = deque(maxlen=WINDOW)

    def record(self, statistics: Statistics) -> None:
        """Add an answer's statistics.

        Prefill counts only where at least half of the prompt was computed: the time for a few
        tokens behind a cached prefix is overhead, and a thousand tokens take hardly longer.
        """
        computed = statistics.prompt_tokens - statistics.reused_tokens
        if statistics.prompt_time > 0 and computed > 0 and computed >= statistics.reused_tokens:
            self._prefill.append(statistics.prompt_time / computed)
        if statistics.tokens_per_second > 0:
            self._decode.append(1 / statistics.tokens_per_second)

    def prefill_seconds(self, tokens: int) -> float | None:
        """Expected seconds to the first token, without queueing; None before the first answer."""
        return median(self._prefill) * tokens if self._prefill else None

    def decode_seconds(self, tokens: int) -> float | None:
        """Expected seconds to decode `tokens` after the first; None before the first answer."""
        return median(self._decode) * tokens if self._decode else None
