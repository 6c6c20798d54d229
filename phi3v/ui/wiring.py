"""Queue settings and value conversions shared by the event handlers of all tabs.

Knows how events are queued and what components return; knows no particular tab.
"""

from pathlib import Path
from typing import Any

from phi3v.request import Sampling, is_seed
from phi3v.settings import Settings
from phi3v.ui.queue_limit import ENGINE

# Requests that wait in the engine's own queue, which reports everyone's position; it serves all
# tabs, users and endpoints. Further requests wait in the page's queue.
MAX_QUEUED = 32
# Requests that servers are given at once unless --parallel says another number: they may take
# fewer, and then more wait in the engine's queue.
MAX_PARALLEL = 64

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# For short events: unqueued, they are never refused because the queue is full. A handler that warns
# must be queued, because Gradio delivers gr.Warning and gr.Info through the queue only.
UNQUEUED: dict[str, Any] = {"queue": False, **QUIET}

# The value of a gallery: (file, caption) pairs, None when empty.
Shown = list[tuple[str, str | None]] | None


def most_running(settings: Settings) -> int:
    """Return how many requests are answered at once at most."""
    if not settings.servers:
        return 1
    return MAX_PARALLEL if settings.parallel == "auto" else settings.parallel


def most_held(settings: Settings) -> int:
    """Return how many requests the engine holds at most: those that run and those in its queue."""
    return most_running(settings) - 1 + min(MAX_QUEUED, settings.queue_size)


def engine_queue(settings: Settings) -> dict[str, Any]:
    """Return the listener arguments of an event that calls the engine."""
    return {"concurrency_id": ENGINE, "concurrency_limit": most_held(settings)}


def hide_folder(name: str) -> str:
    """Return a checkpoint's name without its folder: paths of the server are not shown."""
    return Path(name).name if Path(name).is_dir() else name


def files_of(shown: Shown) -> list[str]:
    """Return the paths in a gallery's value."""
    return [path for path, _ in shown or []]


def choose_crops(detail: str) -> int | None:
    """Return num_crops for a tab's level of detail; None ("auto") uses as many as fit."""
    return None if detail == "auto" else int(detail)


def choose_sampling(
    max_new_tokens: int, temperature: float, top_p: float, seed: int | None, num_crops: str
) -> tuple[Sampling, int | None]:
    """Return the sampling and num_crops of a tab's settings.

    An empty or negative seed means a new random one each time. Raises RequestError for values out
    of range.
    """
    fixed_seed = None if seed is None or seed < 0 else int(seed) if is_seed(seed) else seed
    sampling = Sampling(int(max_new_tokens), float(temperature), float(top_p), fixed_seed)
    return sampling, choose_crops(num_crops)
