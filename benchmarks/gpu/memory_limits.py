"""Stage 6: the memory of smaller cards: what captures, what is kept, what context fits."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu.asking import IMAGE_TOKENS, Turns, ask, continue_turns, make_text, show_picture
from benchmarks.gpu.context import Context
from benchmarks.gpu.report import Row, needs_cuda
from phi3v import Engine, RequestError, Turn
from phi3v.inference.hardware import free_memory, limit_memory
from phi3v.inference.memory import free_unused

STAGE = "memory"
CARDS = (12, 16, 24, 48)  # GB
# Its table says which context fits a card, and up to where graphs decode.
TABLE = Path(__file__).parents[2] / "docs" / "deployment.md"
CLAIM = re.compile(
    r"^\| (\d+) GB \| 16 bits \| ([\d,]+) tokens[^|]*\| ([\d,]+) tokens", re.MULTILINE
)
SLOTS_TOLERANCE = 256  # the granularity of the slots
NEW_TOKENS = 160  # a 16-crop picture's 1,921 tokens and these cross 2,048
CONTEXT_TOKENS = 16


@dataclass(frozen=True)
class Claim:
    """What the documentation says of a card: tokens of the longest context, and of the graphs."""

    context: int
    slots: int


def read_claims(text: str) -> dict[int, Claim]:
    """Return the claims of a table in Markdown by the cards' GB."""
    rows = [[int(cell.replace(",", "")) for cell in row] for row in CLAIM.findall(text)]
    return {card: Claim(tokens, slots) for card, tokens, slots in rows}


def memory(context: Context) -> Iterator[Row]:
    """Let the device be each card in turn; the limit is taken back whatever happens."""
    if not context.is_quick:
        yield needs_cuda(STAGE, "limits")
        return
    weights = context.full
    context.engine.clear_caches()
    free_unused(context.device)
    beside = torch.cuda.memory_allocated(context.device) - weights.nbytes if context.is_cuda else 0
    claims = read_claims(TABLE.read_text())
    for card in CARDS:
        total = card * 10**9 + max(0, beside)
        if context.is_cuda and total > total_memory(context.device):
            yield Row(STAGE, f"{card} GB", None, note="this card is smaller")
            continue
        limit_memory(context.device, total)
        try:
            free = free_memory(context.device)
            yield Row(STAGE, f"{card} GB, free beside the weights", free / 1e9, "GB")
            with context.opened(weights) as engine:
                yield from try_card(context, engine, card, claims[card])
        except RequestError as error:
            yield Row(STAGE, f"{card} GB", None, "", False, "answers", str(error)[:160])
        finally:
            limit_memory(context.device, None)


def total_memory(device: torch.device) -> int:
    """Return all bytes of a CUDA device."""
    return int(torch.cuda.get_device_properties(device).total_memory)


def try_card(context: Context, engine: Engine, card: int, claim: Claim) -> Iterator[Row]:
    """Ask about pictures and follow up; then fill the context."""
    steps = engine.prefix_cache.captured_steps
    captures: list[int] = []

    def follow(turns: Turns) -> tuple[int, Turns]:
        answered = ask(engine, turns, NEW_TOKENS)
        captures.append(0 if steps is None else steps.num_captures)
        following = continue_turns(turns, answered, Turn("user", "What else is there?"))
        return answered.statistics.reused_tokens, following

    _, turns = follow(show_picture(context))
    reused, _ = follow(turns)
    follow(show_picture(context))
    follow(show_picture(context))
    if context.is_cuda:
        sizes = () if steps is None else steps.sizes
        yield judge_captures(card, captures, sizes)
        yield judge_slots(card, 0 if steps is None else steps.num_slots, claim)
    else:
        yield needs_cuda(STAGE, f"{card} GB, captures by answer")
    passes = reused >= IMAGE_TOKENS
    limit = f">= {IMAGE_TOKENS}"
    yield Row(STAGE, f"{card} GB, follow-up reuses", reused, "tokens", passes, limit)
    yield try_context(context, engine, card, claim.context)


def judge_captures(card: int, captures: list[int], sizes: Sequence[int]) -> Row:
    """Return the row of captures by answer, of which only the first may have any."""
    new = [late - early for early, late in zip([0, *captures], captures, strict=False)]
    passes = not any(new[1:])
    note = f"sizes: {', '.join(map(str, sizes)) or 'none'}"
    name = f"{card} GB, captures by answer"
    return Row(STAGE, name, ", ".join(map(str, new)), "", passes, "none after the first", note)


def judge_slots(card: int, slots: int, claim: Claim) -> Row:
    """Return the row that compares the slots of captured steps with the documentation."""
    passes = slots >= claim.slots - SLOTS_TOLERANCE
    name = f"{card} GB, decoded by graphs up to"
    return Row(STAGE, name, slots, "tokens", passes, f"about {claim.slots}")


def try_context(context: Context, engine: Engine, card: int, tokens: int) -> Row:
    """Return the row that says whether a prompt that fills the context is answered."""
    name = f"{card} GB, context"
    turns = make_text(context, engine.processor, tokens - CONTEXT_TOKENS)
    try:
        answered = ask(engine, turns, CONTEXT_TOKENS)
    except RequestError as error:
        return Row(STAGE, name, tokens, "tokens", False, "answered", str(error)[:160])
    peak = answered.statistics.peak_memory
    note = "" if peak is None else f"peak {peak / 1e9:.2f} GB"
    return Row(STAGE, name, tokens, "tokens", True, "answered", note)
