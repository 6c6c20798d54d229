"""The jobs of a run: pages grouped into requests, and the plan that all requests share.

Must not know how a job is answered or where its result goes.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from phi3v.documents.pages import Page, Problem, find_pages
from phi3v.documents.resolution import DEFAULT_FRAMES
from phi3v.request import Sampling
from phi3v.results.formats import OutputFormat
from phi3v.tasks import COMPARE, DESCRIBE, Task

# More than one command is given; a page that is not open yet takes some hundred bytes.
MAX_BATCH_PAGES = 100_000


@dataclass(frozen=True)
class Plan:
    """The parameters of every request of a run; equal plans and pages give equal answers."""

    command: str
    question: str
    output_format: OutputFormat
    num_crops: int | None
    sampling: Sampling
    threshold: float | None
    model: str
    revision: str
    weights: str  # dtype, quantization and adapter, which can change an answer


@dataclass(frozen=True)
class Job:
    """The pages of one request: a single page, the frames of a video, or for compare all pages."""

    pages: tuple[Page, ...]

    @property
    def name(self) -> str:
        """The display name, made of the pages' names."""
        first = self.pages[0]
        if first.time is not None and all(page.source == first.source for page in self.pages):
            return f"{len(self.pages)} of {first.total} frames of {first.file}"
        return " and ".join(page.name for page in self.pages)

    def key(self, plan: Plan) -> str:
        """Return the SHA-256, in hex, of the plan and the pages' contents."""
        pages = [(page.content, page.number) for page in self.pages]
        text = json.dumps([pages, asdict(plan)], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return the name and the sources of the pages, for a record."""
        if len(self.pages) == 1:
            (page,) = self.pages
            return {"name": page.name} | describe_source(page)
        return {"name": self.name, "sources": [describe_source(page) for page in self.pages]}


def describe_source(page: Page) -> dict[str, Any]:
    """Return where a page comes from, and a frame's time in seconds, for a record."""
    time = {} if page.time is None else {"time": page.time}
    return {"source": page.source, "page": page.number} | time


def find_jobs(
    task: Task, sources: Iterable[str], pages: str, frames: int = DEFAULT_FRAMES
) -> tuple[list[Job], list[Problem]]:
    """Return a run's jobs, and the problems.

    The frames of a video or an animation are described together, each a picture with its number.
    Raises RequestError for an invalid page range.
    """
    found = list(find_pages(sources, pages, most_pages=MAX_BATCH_PAGES, frames=frames))
    problems = [problem for problem in found if isinstance(problem, Problem)]
    good = [page for page in found if isinstance(page, Page)]
    if task is COMPARE:
        return [Job(tuple(good))] if good else [], problems
    if task is DESCRIBE:
        grouped = groupby(
            enumerate(good),
            lambda item: (
                (item[1].source, item[1].content)
                if item[1].kind in ("animation", "video")
                else item[0]
            ),
        )
        return [Job(tuple(page for _, page in group)) for _, group in grouped], problems
    return [Job((page,)) for page in good], problems
