"""What a request would take, before it is sent: for programs, and in words for the page."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from phi3v.engine import Engine
from phi3v.estimate import estimate_details
from phi3v.request import Request, RequestError, Sampling, Turn
from phi3v.starting import StartingEngine
from phi3v.ui import words


def find_engine(engine: object) -> Engine | None:
    """The loaded engine, whose sizes and pace are known; None while there is none."""
    found = engine.engine if isinstance(engine, StartingEngine) else engine
    return found if isinstance(found, Engine) else None


def describe_estimates(
    engine: Engine | None, images: Sequence[str], question: str, sampling: Sampling
) -> dict[str, dict[str, Any]]:
    """The estimate at each level of detail as plain values. Raises RequestError."""
    if engine is None:
        raise RequestError(words.NO_ESTIMATE)
    request = Request((Turn("user", question, tuple(images)),), sampling)
    return {
        name: asdict(estimate) | {"room": estimate.room}
        for name, estimate in estimate_details(request, engine).items()
    }
