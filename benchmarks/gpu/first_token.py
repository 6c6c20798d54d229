"""Stage 5: seconds to the first token for new and known prompt lengths, pictures, follow-ups."""

from collections.abc import Iterator
from functools import partial
from statistics import median

import torch

from benchmarks.gpu.asking import (
    NUM_CROPS,
    Answered,
    ask,
    continue_turns,
    make_text,
    show_picture,
)
from benchmarks.gpu.context import Context
from benchmarks.gpu.measuring import time_work
from benchmarks.gpu.report import Row
from phi3v import Engine, Turn

STAGE = "first-token"
CPU = torch.device("cpu")
# Not used by any other stage: a kernel that is planned for a shape is planned here.
LENGTHS = (611, 907, 1303, 1801, 2711)
WARM_UP_LENGTH, REPEATS, PICTURES, NEW_TOKENS = 300, 2, 3, 16
NEW_LIMIT = 1.3
PICTURE_LIMIT, PICTURE_GOAL = 120, 80  # ms
FOLLOW_UP_LIMIT, FOLLOW_UP_GOAL = 40, 30  # ms


def first_token(context: Context) -> Iterator[Row]:
    """Measure prompts of text, then conversations about pictures."""
    engine = context.engine
    yield from time_lengths(context, engine)
    yield from time_pictures(context, engine)
    yield from time_conversation(context, engine)


def time_lengths(context: Context, engine: Engine) -> Iterator[Row]:
    """Ask prompts of lengths that no prompt had, then others of the same lengths."""
    lengths = LENGTHS if context.is_quick else LENGTHS[:1]

    def seconds(tokens: int) -> float:
        turns = make_text(context, engine.processor, tokens)
        return ask(engine, turns, new_tokens=1).statistics.prompt_time

    seconds(WARM_UP_LENGTH)
    new = [seconds(tokens) for tokens in lengths]
    repeated = [median(seconds(tokens) for _ in range(REPEATS)) for tokens in lengths]
    for tokens, first, again in zip(lengths, new, repeated, strict=True):
        note = f"again {1000 * again:.1f}"
        yield Row(STAGE, f"{tokens} tokens, new length", 1000 * first, "ms", note=note)
    yield judge_new(sum(new), sum(repeated), context.is_real)


def judge_new(new: float, repeated: float, is_judged: bool) -> Row:
    """Return the row that compares new lengths with known ones."""
    ratio = new / repeated
    passes = ratio <= NEW_LIMIT if is_judged else None
    limit = f"<= {NEW_LIMIT}" if is_judged else ""
    return Row(STAGE, "new lengths beside known ones", ratio, "x", passes, limit)


def time_pictures(context: Context, engine: Engine) -> Iterator[Row]:
    """Time pictures of 13 crops, warm, from prepared pixels on the host; and cutting them."""
    count = PICTURES + 1 if context.is_quick else 1
    turns = [show_picture(context) for _ in range(count)]
    process = engine.processor.image_processor
    cutting = [
        time_work(partial(process, turn.images[0], num_crops=NUM_CROPS), CPU) for (turn,) in turns
    ]
    answers = [ask(engine, of_one, new_tokens=1) for of_one in turns]
    warm = answers[1:] or answers
    took = 1000 * median(answer.prepared_to_first_token for answer in warm)
    limit = f"<= {PICTURE_LIMIT}, goal {PICTURE_GOAL}"
    yield judge_limit("16 crops, prepared to first token", took, PICTURE_LIMIT, limit, context)
    yield Row(STAGE, "cutting the picture", 1000 * median(cutting), "ms")
    whole = 1000 * median(answer.statistics.time_to_first_token for answer in warm)
    yield Row(STAGE, "16 crops, request to first token", whole, "ms")
    yield show_peak("16 crops", answers[-1])


def time_conversation(context: Context, engine: Engine) -> Iterator[Row]:
    """Time a follow-up, whose beginning is kept, and a second picture; the second of two runs."""
    for _ in range(2 if context.is_quick else 1):
        turns = show_picture(context)
        answered = ask(engine, turns, NEW_TOKENS)
        turns = continue_turns(turns, answered, Turn("user", "What else is there?"))
        followed = ask(engine, turns, NEW_TOKENS)
        (turn,) = show_picture(context)
        second = ask(engine, continue_turns(turns, followed, turn), NEW_TOKENS)
    took = 1000 * followed.statistics.time_to_first_token
    limit = f"<= {FOLLOW_UP_LIMIT}, goal {FOLLOW_UP_GOAL}"
    yield judge_limit("follow-up, first token", took, FOLLOW_UP_LIMIT, limit, context)
    reused = followed.statistics.reused_tokens
    images = followed.statistics.image_tokens
    yield Row(STAGE, "follow-up, reused tokens", reused, "", reused >= images, f">= {images}")
    took = 1000 * second.statistics.time_to_first_token
    note = f"of it {1000 * second.prepared_to_first_token:.1f} from prepared pixels"
    yield Row(STAGE, "second picture, first token", took, "ms", note=note)
    yield show_peak("second picture", second)


def judge_limit(name: str, took: float, most: float, limit: str, context: Context) -> Row:
    """Return the row of milliseconds that have a limit on a GPU, at the published sizes."""
    if not context.is_real:
        return Row(STAGE, name, took, "ms")
    return Row(STAGE, name, took, "ms", took <= most, limit)


def show_peak(name: str, answered: Answered) -> Row:
    """Return the most memory that an answer took, weights included."""
    peak = answered.statistics.peak_memory
    if peak is None:
        return Row(STAGE, f"{name}, peak memory", None, note="needs CUDA")
    return Row(STAGE, f"{name}, peak memory", peak / 1e9, "GB")
