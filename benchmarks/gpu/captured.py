"""Stage 3: the ids of captured steps, eager steps and transformers' own way are equal."""

from collections.abc import Iterator, Sequence

import torch
from transformers import DynamicCache

from benchmarks.gpu.asking import Turns, ask, make_text, prompt_ids
from benchmarks.gpu.context import Context
from benchmarks.gpu.report import Row, needs_cuda
from phi3v import Engine

STAGE = "captured"
# Prompts begin so far below an edge that the answer crosses it. At 4,096 the RoPE factors change,
# and all is computed once more.
EDGES, BEFORE, NEW_TOKENS = (2048, 4096, 8192), 16, 40
# A longer answer, which crosses the first edge too.
LONG_PROMPT, LONG_ANSWER = 1700, 600
# On a CPU at the published sizes.
SHORT_PROMPT, SHORT_ANSWER = 200, 8
SEED = 7


def captured(context: Context) -> Iterator[Row]:
    """Ask the same at each edge: captured, eager, and by generate with a DynamicCache."""
    exact = context.exact
    asked = [(f"across {edge}", edge - BEFORE, NEW_TOKENS) for edge in EDGES]
    if not context.is_quick:
        asked = [("a short text", SHORT_PROMPT, SHORT_ANSWER)]
    if context.is_cuda:
        asked.append((f"{LONG_ANSWER} tokens", LONG_PROMPT, LONG_ANSWER))
    with context.opened(exact) as ours, context.opened(exact, replay=False) as eager:
        for name, tokens, count in asked:
            turns = make_text(context, exact.processor, tokens)
            theirs = generate(ours, turns, count)
            plain = ask(eager, turns, count).ids
            yield compare_ids(f"eager = DynamicCache, {name}", plain, theirs)
            if context.is_cuda:
                found = ask(ours, turns, count).ids
                yield compare_ids(f"captured = DynamicCache, {name}", found, theirs)
        yield from sample(context, ours, eager)
        yield from count_captures(context, ours, [tokens for _, tokens, _ in asked])


def generate(engine: Engine, turns: Turns, count: int) -> tuple[int, ...]:
    """Return greedy ids of the model's `generate`, with transformers' own cache and forward."""
    ids = torch.tensor([prompt_ids(engine.processor, turns)], device=engine.device)
    with torch.inference_mode():
        sequence = engine.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=DynamicCache(config=engine.model.config),
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=None,
        )
    return tuple(sequence[0, ids.shape[1] :].tolist())


def compare_ids(name: str, found: Sequence[int], expected: Sequence[int]) -> Row:
    """Return the row that says how many first ids are equal."""
    pairs = zip(found, expected, strict=False)
    equal = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(found), len(expected)))
    passes = len(found) == len(expected) == equal
    return Row(STAGE, name, f"{equal} of {len(expected)} equal", "", passes, "all")


def sample(context: Context, ours: Engine, eager: Engine) -> Iterator[Row]:
    """Compare sampled answers, which a seed makes equal."""
    turns = make_text(context, ours.processor, SHORT_PROMPT)
    count = NEW_TOKENS if context.is_quick else SHORT_ANSWER
    expected = ask(eager, turns, count, seed=SEED).ids
    yield compare_ids("same seed, same ids", ask(ours, turns, count, seed=SEED).ids, expected)


def count_captures(context: Context, engine: Engine, lengths: list[int]) -> Iterator[Row]:
    """Compare the captures with the sizes, and ask for each length again, which captures none."""
    steps = engine.prefix_cache.captured_steps
    if steps is None:
        name = "captures, one for each size"
        yield needs_cuda(STAGE, name) if not context.is_cuda else Row(STAGE, name, 0, "", False)
        return
    captures, sizes = steps.num_captures, steps.sizes
    passes = steps.is_enabled and 1 <= captures <= len(sizes)
    note = f"sizes {', '.join(map(str, sizes))}"
    yield Row(STAGE, "captures, one for each size", captures, "", passes, f"<= {len(sizes)}", note)
    for tokens in lengths:
        ask(engine, make_text(context, engine.processor, tokens), NEW_TOKENS)
    again = steps.num_captures - captures
    yield Row(STAGE, "captures when asked again", again, "", again == 0, "0")
