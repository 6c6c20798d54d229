"""The jobs of a run: pages grouped into requests, and the plan that all requests share.

Must not know how a job is answered or where its result goes.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from phi3v.documents.pages import Page, Problem, find_pages
from phi3v.request import Sampling
from phi3v.results.formats import OutputFormat
from phi3v.tasks import COMPARE, Task

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
    """The pages of one request: a single page, or for compare all pages of the run."""

    pages: tuple[Page, ...]

    @property
    def name(self) -> str:
        """The display name, made of the pages' names."""
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
            return {"name": page.name, "source": page.source, "page": page.number}
        return {
            "name": self.name,
            "sources": [{"source": page.source, "page": page.number} for page in self.pages],
        }


def find_jobs(task: Task, sources: Iterable[str], pages: str) -> tuple[list[Job], list[Problem]]:
    """Return a run's jobs, and the problems. Raises RequestError for an invalid page range."""
    found = list(find_pages(sources, pages, most_pages=MAX_BATCH_PAGES))
    problems = [problem for problem in found if isinstance(problem, Problem)]
    good = [page for page in found if isinstance(page, Page)]
    if task is COMPARE:
        return [Job(tuple(good))] if good else [], problems
    return [Job((page,)) for page in good], problems
