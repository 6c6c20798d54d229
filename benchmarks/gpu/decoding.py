"""Stage 4: tokens per second beside what the memory can deliver, and kernels per token."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import mean

from PIL import Image

from benchmarks import baseline
from benchmarks.floor import bytes_per_token
from benchmarks.gpu.asking import Turns, ask, make_text
from benchmarks.gpu.context import Context
from benchmarks.gpu.measuring import (
    Activity,
    attention_kernels,
    count_activities,
    floor_rate,
    intervals,
    per_token,
    percentile,
    record_activities,
)
from benchmarks.gpu.report import Row, needs_cuda
from phi3v import Engine, RequestError

STAGE = "decoding"
CONTEXTS = {"2k": 2048, "512": 512, "8k": 8192, "32k": 32768}  # the judged one first
JUDGED = "2k"
NEW_TOKENS, EAGER_TOKENS, FEW_TOKENS = 128, 32, 8
PICTURE_TOKENS = 313  # of one crop
SKIPPED = 2  # first intervals: the step's slots are filled, or captured
FLOOR_SHARE, GOAL_SHARE, P95_LIMIT = 0.6, 0.8, 2.0


@dataclass(frozen=True)
class Rate:
    """How fast an answer was decoded, with its mean context: seconds are of one token."""

    tokens_per_second: float
    p50: float
    p95: float
    longest: float
    context: float


def summarize(times: list[float], prompt_tokens: int) -> Rate:
    """Return the rate of an answer whose tokens came at these times."""
    seconds = intervals(times, SKIPPED)
    return Rate(
        1 / mean(seconds),
        percentile(seconds, 0.5),
        percentile(seconds, 0.95),
        max(seconds),
        prompt_tokens + len(times) / 2,
    )


def decoding(context: Context) -> Iterator[Row]:
    """Decode at each context: captured, eager, and the tutorials' way; profile at the judged."""
    engine, contexts = context.engine, choose_contexts(context)
    with context.opened(context.full, replay=False) as eager:
        for label, tokens in contexts.items():
            try:
                turns = make_text(context, engine.processor, tokens - NEW_TOKENS)
                if context.is_cuda:
                    yield from time_captured(context, engine, turns, label)
                else:
                    yield needs_cuda(STAGE, f"captured, {label}")
                yield from time_eager(context, eager, turns, label)
            except RequestError as error:
                yield Row(STAGE, label, None, note=f"does not fit: {error}"[:160])
                engine.clear_caches()
            if label == JUDGED or not context.is_quick:
                yield from profile_steps(context, engine, turns)
    yield from time_tutorials(context, engine)


def choose_contexts(context: Context) -> dict[str, int]:
    """Return the contexts to decode at: all on a GPU."""
    labels = CONTEXTS if context.is_cuda else ("2k", "512") if context.small else ("512",)
    return {label: CONTEXTS[label] for label in labels}


def time_captured(context: Context, engine: Engine, turns: Turns, label: str) -> Iterator[Row]:
    """Time an answer for which the step was captured before."""
    ask(engine, turns, FEW_TOKENS)
    answered = ask(engine, turns, NEW_TOKENS)
    rate = summarize(answered.moments.tokens, answered.statistics.prompt_tokens)
    steps = engine.prefix_cache.captured_steps
    is_captured = steps is not None and steps.is_enabled and steps.num_slots >= CONTEXTS[label]
    note = "" if is_captured else "eager: the slots of captured steps do not reach it"
    is_judged = label == JUDGED and context.is_real
    yield from show_rate(f"captured, {label}", rate, note, is_judged)
    yield show_share(context, engine, f"captured, {label}", rate, is_judged)


def time_eager(context: Context, engine: Engine, turns: Turns, label: str) -> Iterator[Row]:
    """Time an answer by steps that are launched one by one."""
    ask(engine, turns, FEW_TOKENS)
    answered = ask(engine, turns, EAGER_TOKENS)
    rate = summarize(answered.moments.tokens, answered.statistics.prompt_tokens)
    yield from show_rate(f"eager, {label}", rate)
    yield show_share(context, engine, f"eager, {label}", rate)


def show_rate(name: str, rate: Rate, note: str = "", is_judged: bool = False) -> Iterator[Row]:
    """Yield tokens per second, and the 95th percentile of a token's time."""
    yield Row(STAGE, name, rate.tokens_per_second, "tokens/s", note=note)
    passes = rate.p95 < P95_LIMIT * rate.p50 if is_judged else None
    note = f"p50 {1000 * rate.p50:.2f}, longest {1000 * rate.longest:.2f}"
    limit = f"< {P95_LIMIT:g} x p50" if is_judged else ""
    yield Row(STAGE, f"{name}, p95", 1000 * rate.p95, "ms", passes, limit, note)


def show_share(
    context: Context, engine: Engine, name: str, rate: Rate, is_judged: bool = False
) -> Row:
    """Return the share of the rate at which the memory could deliver weights, keys and values."""
    floor = floor_rate(context.bandwidth, bytes_per_token(engine, round(rate.context)))
    share = rate.tokens_per_second / floor
    passes = share >= FLOOR_SHARE if is_judged else None
    limit = f">= {FLOOR_SHARE:g}, goal {GOAL_SHARE:g}" if is_judged else ""
    note = f"floor {floor:.0f} tokens/s at {rate.context:.0f} tokens"
    return Row(STAGE, f"{name}, share", share, "of the floor", passes, limit, note)


def profile_steps(context: Context, engine: Engine, turns: Turns) -> Iterator[Row]:
    """Count what a token launches: the difference of two answers, which begin alike."""
    if not context.is_cuda:
        yield needs_cuda(STAGE, "kernels a token")
        return
    few, many = FEW_TOKENS, EAGER_TOKENS

    def record(count: int) -> list[Activity]:
        return record_activities(lambda: ask(engine, turns, count), context.device)

    record(few)  # the profiler's own first use
    activities = record(many)
    took = per_token(count_activities(record(few)), count_activities(activities), many - few)
    yield Row(STAGE, "kernels a token", took.kernels)
    yield Row(STAGE, "launches by the host a token", took.launches)
    times = ask(engine, turns, many).moments.tokens
    busy = took.seconds / percentile(intervals(times, SKIPPED), 0.5)
    yield Row(STAGE, "device busy while decoding", busy, "of the time")
    yield Row(STAGE, "attention kernels", "; ".join(attention_kernels(activities)))


def time_tutorials(context: Context, engine: Engine) -> Iterator[Row]:
    """Time plain `generate` with eager attention and a DynamicCache."""
    model = engine.model
    implementation = model.config._attn_implementation
    labels = ("512", "2k") if context.is_quick else ("512",)
    model.set_attn_implementation("eager")
    try:
        for label in labels:
            tokens = CONTEXTS[label] - EAGER_TOKENS
            # the baseline has no way without a picture, which takes the place of text here
            (text,) = make_text(context, engine.processor, tokens - PICTURE_TOKENS)
            turns = (replace(text, images=(Image.new("RGB", (336, 336)),)),)
            _, times = baseline.answer(engine, turns, num_crops=1, new_tokens=EAGER_TOKENS)
            rate = summarize(times, tokens)
            yield from show_rate(f"the tutorials' way, {label}", rate)
    finally:
        model.set_attn_implementation(implementation)
