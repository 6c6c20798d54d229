"""What is to be done: the pages behind the named files, each or together one request."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from phi3v.documents.pages import Page, Problem, find_pages
from phi3v.request import Sampling
from phi3v.results.formats import OutputFormat
from phi3v.tasks import COMPARE, Task

# More than a person asks of one command, and each takes some hundred bytes until its turn comes.
MAX_BATCH_PAGES = 100_000


@dataclass(frozen=True)
class Plan:
    """How every request of a run is made; equal plans and equal pages give equal answers."""

    command: str
    question: str
    output_format: OutputFormat
    num_crops: int | None
    sampling: Sampling
    threshold: float | None
    model: str
    revision: str
    weights: str  # number type and quantization, which change an answer now and then


@dataclass(frozen=True)
class Job:
    """The pages of one request: one page to describe or read, all of them to compare."""

    pages: tuple[Page, ...]

    @property
    def name(self) -> str:
        """What people call it."""
        return " and ".join(page.name for page in self.pages)

    def key(self, plan: Plan) -> str:
        """A fingerprint of the pages' contents and the plan, in hex."""
        pages = [(page.content, page.number) for page in self.pages]
        text = json.dumps([pages, asdict(plan)], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Where the pages are from, for a record."""
        if len(self.pages) == 1:
            (page,) = self.pages
            return {"name": page.name, "source": page.source, "page": page.number}
        return {
            "name": self.name,
            "sources": [{"source": page.source, "page": page.number} for page in self.pages],
        }


def find_jobs(task: Task, sources: Iterable[str], pages: str) -> tuple[list[Job], list[Problem]]:
    """All jobs of a run, and what cannot be read. Raises RequestError for a bad range of pages."""
    found = list(find_pages(sources, pages, most_pages=MAX_BATCH_PAGES))
    problems = [problem for problem in found if isinstance(problem, Problem)]
    good = [page for page in found if isinstance(page, Page)]
    if task is COMPARE:
        return [Job(tuple(good))] if good else [], problems
    return [Job((page,)) for page in good], problems
