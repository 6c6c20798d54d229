"""All stages in order with their time limits, and how one runs: its failure is a row."""

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType

from benchmarks.gpu.agreement import agreement
from benchmarks.gpu.captured import captured
from benchmarks.gpu.compiled import compiled
from benchmarks.gpu.context import Context
from benchmarks.gpu.decoding import decoding
from benchmarks.gpu.environment import environment
from benchmarks.gpu.first_token import first_token
from benchmarks.gpu.interruptions import shortage, stop
from benchmarks.gpu.leaks import fifty
from benchmarks.gpu.memory_limits import memory
from benchmarks.gpu.optional import flash_attention, quantized
from benchmarks.gpu.report import Report, Row
from phi3v.inference.memory import free_unused

# A stage is not begun in the last seconds of a run: it could not show anything.
LEAST_SECONDS = 3.0


@dataclass(frozen=True)
class Stage:
    """A part of the benchmark; one that may be cut misses no limit when its seconds are over."""

    name: str
    seconds: float
    run: Callable[[Context], Iterator[Row]]
    may_be_cut: bool = False


# The first five together have less than 240 s.
STAGES = (
    Stage("environment", 20, environment),
    Stage("agreement", 45, agreement),
    Stage("captured", 45, captured),
    Stage("decoding", 65, decoding),
    Stage("first-token", 35, first_token),
    Stage("memory", 50, memory),
    Stage("shortage", 25, shortage),
    Stage("stop", 15, stop),
    Stage("fifty", 30, fifty),
    Stage("quantized", 75, quantized),
    Stage("flash-attn", 15, flash_attention),
    Stage("compiled", 90, compiled, may_be_cut=True),
)


class OutOfTime(BaseException):
    """A stage's seconds are over; no Exception, which libraries catch and wrap."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the main thread after so many seconds, and each second from then on.

    In another thread, and without SIGALRM (Windows), there is no limit.
    """
    if not hasattr(signal, "SIGALRM") or current_thread() is not main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def run_stage(stage: Stage, context: Context, report: Report) -> None:
    """Run a stage within its seconds and what is left of the run; report whatever comes of it."""
    left = context.seconds_left()
    if left < LEAST_SECONDS:
        report.append(Row(stage.name, "not run", None, note="no time left"))
        return
    seconds = min(stage.seconds, left)
    began = time.monotonic()
    try:
        with time_limit(seconds):
            for row in stage.run(context):
                report.append(row)
    except OutOfTime:
        report.append(explain_cut(stage, seconds, context.is_cuda))
    except Exception as error:
        report.append(Row(stage.name, "error", None, "", False, "", explain_error(error)))
    report.append(Row(stage.name, "seconds", time.monotonic() - began, "s"))
    free_unused(context.device)


def explain_cut(stage: Stage, seconds: float, is_cuda: bool) -> Row:
    """Return the row of a stage whose seconds are over: a failure if they were all its own.

    A CPU is not measured by a GPU's seconds.
    """
    if seconds < stage.seconds:
        return Row(stage.name, "cut", None, note="no time left")
    passes = None if stage.may_be_cut or not is_cuda else False
    return Row(stage.name, "cut", None, "", passes, f"within {stage.seconds:g} s")


def explain_error(error: Exception, most: int = 400) -> str:
    """Return an error's type, place and message, and those of its cause."""
    causes = [error] if error.__cause__ is None else [error, error.__cause__]
    parts = []
    for cause in causes:
        frames = traceback.extract_tb(cause.__traceback__)
        place = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
        parts.append(f"{type(cause).__name__}{place}: {cause}")
    return " <- ".join(parts)[:most]
