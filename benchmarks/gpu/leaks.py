"""Stage 9: fifty questions, after which as much memory is allocated as after ten."""

from collections.abc import Iterator, Sequence

import torch

from benchmarks.gpu.asking import ask, make_text, show_picture
from benchmarks.gpu.context import Context
from benchmarks.gpu.report import Row, needs_cuda

STAGE = "fifty"
QUESTIONS, SETTLED, WINDOW, NEW_TOKENS = 50, 10, 10, 16
LIMIT = 0.05
PICTURE = (640, 480)
# Small enough that the caches are full after ten questions: what is kept then no longer grows.
REUSE_BYTES = 2_400_000_000


def fifty(context: Context) -> Iterator[Row]:
    """Ask about pictures and texts of ever new lengths by turns."""
    if not context.is_quick:
        yield needs_cuda(STAGE, "memory after fifty questions")
        return
    allocated, unused = [], []
    with context.opened(context.full, REUSE_BYTES) as engine:
        for number in range(QUESTIONS):
            length = context.rng.randrange(200, 1200)
            is_text = number % 2 == 0
            text = make_text(context, engine.processor, length)
            ask(engine, text if is_text else show_picture(context, PICTURE), NEW_TOKENS)
            if context.is_cuda:
                torch.cuda.synchronize(context.device)
                held = torch.cuda.memory_allocated(context.device)
                reserved = torch.cuda.memory_reserved(context.device)
                allocated.append(held)
                unused.append((reserved - held) / reserved)
    yield Row(STAGE, "questions answered", QUESTIONS, "", True, str(QUESTIONS))
    if allocated:
        yield judge_growth(allocated)
        yield judge_unused(unused)
    else:
        yield needs_cuda(STAGE, "memory after fifty questions")


def judge_growth(allocated: Sequence[float]) -> Row:
    """Compare the most that is allocated in the last questions with that of the first settled."""
    early = max(allocated[SETTLED : SETTLED + WINDOW])
    growth = max(allocated[-WINDOW:]) / early - 1
    note = f"{early / 1e9:.2f} GB after question {SETTLED}"
    return Row(STAGE, "allocated grows by", growth, "", growth < LIMIT, f"< {LIMIT}", note)


def judge_unused(unused: Sequence[float]) -> Row:
    """Return the row of the largest share of reserved memory that no tensor takes."""
    most = max(unused[SETTLED:])
    return Row(STAGE, "reserved, not allocated", most, "", most < LIMIT, f"< {LIMIT}")
