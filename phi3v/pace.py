"""How fast an engine has been so far, from the figures of its last answers.

Knows figures only; an engine keeps one Pace for itself.
"""

from collections import deque
from statistics import median
from typing import Final

from phi3v.request import Statistics

KEPT: Final = 20  # answers; a machine's other work comes and goes


class Pace:
    """Seconds a token takes, in a prompt and in an answer: medians over the last answers."""

    def __init__(self) -> None:
        self._prompt: deque[float] = deque(maxlen=KEPT)
        self._answer: deque[float] = deque(maxlen=KEPT)

    def note(self, statistics: Statistics) -> None:
        """Learn from an answer's figures; one that was stopped before it began teaches nothing.

        Nor does one teach what a prompt takes of which most was kept from before: the time for a
        last few tokens is that of starting, and a thousand take hardly longer.
        """
        computed = statistics.prompt_tokens - statistics.reused_tokens
        if statistics.prompt_time > 0 and computed > 0 and computed >= statistics.reused_tokens:
            self._prompt.append(statistics.prompt_time / computed)
        if statistics.tokens_per_second > 0:
            self._answer.append(1 / statistics.tokens_per_second)

    def prompt_seconds(self, tokens: int) -> float | None:
        """Expected time until the first token, without waiting in line; None before any answer."""
        return median(self._prompt) * tokens if self._prompt else None

    def answer_seconds(self, tokens: int) -> float | None:
        """Expected time of an answer of so many tokens behind its first; None before any answer."""
        return median(self._answer) * tokens if self._answer else None
