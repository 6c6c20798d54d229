"""Runs a task over many pages: skips those with a result, reports failures and continues.

Must not know how a request is answered or printed.
"""

import time
from argparse import Namespace
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phi3v.cli.answers import answer_job
from phi3v.cli.jobs import Job, Plan, find_jobs
from phi3v.cli.printing import Printer, note
from phi3v.cli.results import ResultsFile
from phi3v.conversation.engine_protocol import BrokenWeightsError, StreamingEngine
from phi3v.documents.pages import Problem
from phi3v.documents.resolution import DEFAULT_FRAMES
from phi3v.request import RequestError
from phi3v.tasks import COMPARE, Task


@dataclass
class Tally:
    """Counts of a run's jobs by outcome; what cannot be read counts as failed."""

    total: int
    answered: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        """How many jobs have an outcome."""
        return self.answered + self.skipped + self.failed


def run_batch(
    flags: Namespace,
    task: Task,
    plan: Plan,
    engine: StreamingEngine,
    found: tuple[list[Job], list[Problem]],
    printer: Printer,
) -> Tally:
    """Answer all jobs and return their counts. Raises RequestError for an unusable --output."""
    jobs, problems = found
    failed = [problem for problem in problems if not problem.is_left_out]
    tally = Tally(len(jobs) + len(failed))
    for problem in problems:
        if problem.is_left_out:
            note(f"phi3v: {problem.message}")
    for problem in failed:
        tally.failed += 1
        record = {"name": problem.name, "source": problem.source, "error": problem.message}
        report_failure(flags, printer, record)
    opened = ResultsFile(Path(flags.output)) if flags.output else nullcontext()
    with opened as results:
        for job in jobs:
            run_job(job, flags, task, plan, engine, printer, results, tally)
    return tally


def run_job(
    job: Job,
    flags: Namespace,
    task: Task,
    plan: Plan,
    engine: StreamingEngine,
    printer: Printer,
    results: ResultsFile | None,
    tally: Tally,
) -> None:
    """Answer one job, unless the results file already has it, and count its outcome."""
    key = job.key(plan)
    if results is not None and results.claim(key):
        tally.skipped += 1
        return
    begun = time.perf_counter()
    known = results.find(key) if results is not None else None
    try:
        if known is not None:  # pages of equal content were answered before
            record = {**known, **job.describe()}
            record.pop("key")
        else:
            printer.begin(job.name)
            pixels = task is COMPARE and not flags.no_pixels
            record = answer_job(job, task, plan, engine, pixels, printer.show)
    except BrokenWeightsError:  # no other page can be read either
        raise
    except RequestError as error:
        tally.failed += 1
        report_failure(flags, printer, {**job.describe(), "error": str(error)})
        return
    if results is not None:
        results.append(key, record)
    printer.finish(record)
    tally.answered += 1
    if not flags.quiet and (tally.total > 1 or results is not None):
        seconds = time.perf_counter() - begun
        note(f"[{tally.done}/{tally.total}] {job.name}: {describe_end(record)}, {seconds:.1f} s")


def describe_end(record: dict[str, Any]) -> str:
    """Return the finish reason in words and the number of new tokens."""
    words = {
        "length": "cut",
        "loop": "repeated itself",
        "stopped": "stopped",
        "interrupted": "broken off",
        "end": "done",
    }
    return f"{words[record['finish_reason']]}, {record['new_tokens']} tokens"


def report_failure(flags: Namespace, printer: Printer, record: dict[str, Any]) -> None:
    """Print a failure's message to stderr and, for JSON on standard output, its record."""
    if flags.writes_json and not flags.output:
        printer.finish(record)
    note(f"phi3v: {record['error']}")


def require_jobs(
    task: Task, sources: list[str], pages: str, frames: int = DEFAULT_FRAMES
) -> tuple[list[Job], list[Problem]]:
    """Return a run's jobs and problems. Raises RequestError without jobs or images to compare."""
    jobs, problems = find_jobs(task, sources, pages, frames)
    failed = [problem for problem in problems if not problem.is_left_out]
    if not jobs:
        raise RequestError("\n".join(problem.message for problem in problems))
    if task is COMPARE and (failed or len(jobs[0].pages) < 2):
        lines = [problem.message for problem in failed]
        count = len(jobs[0].pages)
        raise RequestError(
            "\n".join([*lines, f"{count} can be read, and two are needed to compare: name more."])
        )
    return jobs, problems
