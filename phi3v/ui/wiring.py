"""What events of several parts of the page share: how they run, what components give and show."""

from typing import Any

from phi3v.request import Sampling
from phi3v.settings import Settings

# All answers, of all tabs, users and endpoints, wait in one line for the one network: the engine's
# own, which tells everybody's place. So many stand there, and the rest in the page's queue.
MOST_IN_LINE = 32

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# Not worth a place in the queue, and so never refused because the queue is full. Notes (warn) reach
# the page from the queue only.
AT_ONCE: dict[str, Any] = {"queue": False, **QUIET}

# What a gallery gives: files and their captions.
Shown = list[tuple[str, str | None]] | None


def engine_queue(settings: Settings) -> dict[str, Any]:
    """How an event is queued that asks the engine."""
    limit = min(MOST_IN_LINE, settings.queue_size)
    return {"concurrency_id": "engine", "concurrency_limit": limit}


def files_of(shown: Shown) -> list[str]:
    """The files of a gallery."""
    return [path for path, _ in shown or []]


def choose_crops(detail: str) -> int | None:
    """The num_crops that a tab's level of detail stands for; None chooses by what fits."""
    return None if detail == "auto" else int(detail)


def choose_sampling(
    max_new_tokens: int, temperature: float, top_p: float, seed: int | None, num_crops: str
) -> tuple[Sampling, int | None]:
    """What a tab's settings say; no or a negative seed is another one each time."""
    fixed_seed = None if seed is None or seed < 0 else int(seed)
    sampling = Sampling(int(max_new_tokens), float(temperature), float(top_p), fixed_seed)
    return sampling, choose_crops(num_crops)
