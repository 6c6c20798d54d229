"""Stages 10 and 11: what needs a package: 8-bit and 4-bit weights, and FlashAttention 2."""

import importlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.gpu.asking import ask, make_text, prompt_ids, show_picture
from benchmarks.gpu.context import Context, Weights
from benchmarks.gpu.measuring import intervals, relative_error, time_work
from benchmarks.gpu.report import Row, needs_cuda
from phi3v import Engine, load
from phi3v.inference.memory import free_unused

QUANTIZED, FLASH = "quantized", "flash-attn"
NEW_TOKENS, COMPARED_TOKENS = 32, 400
FOUR_BIT_LIMIT = 5e9
FLASH_LIMIT, FLASH_CAPABILITY = 2e-2, (8, 0)


def can_import(*names: str) -> bool:
    """True if all modules can be imported; a broken installation counts as none."""
    try:
        for name in names:
            importlib.import_module(name)
    except Exception:  # a package for another CUDA raises what it likes
        return False
    return True


def quantized(context: Context) -> Iterator[Row]:
    """Save the full model, load it with fewer bits as the app does, and answer with it."""
    if not can_import("bitsandbytes", "accelerate"):
        yield Row(QUANTIZED, "8-bit and 4-bit", None, note="not installed")
        return
    if not context.is_cuda:
        yield needs_cuda(QUANTIZED, "8-bit and 4-bit")
        return
    weights = context.full
    context.engine.clear_caches()
    free_unused(context.device)
    ids = prompt_ids(weights.processor, make_text(context, weights.processor, COMPARED_TOKENS))
    expected = run_logits(weights, ids)
    with tempfile.TemporaryDirectory() as folder:
        save_weights(weights, Path(folder))
        for bits in ("4bit", "8bit"):
            yield from try_bits(context, bits, folder, ids, expected)


def save_weights(weights: Weights, folder: Path) -> None:
    """Write a checkpoint that `load` takes."""
    weights.model.save_pretrained(folder, max_shard_size="4GB")
    weights.processor.save_pretrained(folder)


def run_logits(weights: Weights | Engine, ids: list[int]) -> torch.Tensor:
    """Return the logits of a prompt's last tokens, (T, vocabulary)."""
    with torch.inference_mode():
        tokens = torch.tensor([ids], device=weights.model.device)
        return weights.model(tokens, logits_to_keep=64).logits[0].float().cpu()


def try_bits(
    context: Context, bits: str, folder: str, ids: list[int], expected: torch.Tensor
) -> Iterator[Row]:
    """Load, answer about a picture, and compare; peaks are without what other stages hold."""
    device = context.device
    free_unused(device)
    beside = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    dtype = str(context.dtype).removeprefix("torch.")
    engine = load(folder, str(device), dtype, quantize=bits)
    engine.stop_token_ids = lambda: []  # type: ignore[method-assign]
    yield Row(QUANTIZED, f"{bits}, loading", time.perf_counter() - began, "s")
    loading = torch.cuda.max_memory_allocated(device) - beside
    yield Row(QUANTIZED, f"{bits}, peak while loading", loading / 1e9, "GB")
    answered = ask(engine, show_picture(context), NEW_TOKENS)
    peak = max(loading, (answered.statistics.peak_memory or 0) - beside)
    is_judged = bits == "4bit"
    passes = peak < FOUR_BIT_LIMIT if is_judged else None
    limit = f"< {FOUR_BIT_LIMIT / 1e9:g}" if is_judged else ""
    yield Row(QUANTIZED, f"{bits}, peak with a 16-crop answer", peak / 1e9, "GB", passes, limit)
    seconds = intervals(answered.moments.tokens, skipped=2)
    yield Row(QUANTIZED, f"{bits}, decoding", len(seconds) / sum(seconds), "tokens/s")
    found = run_logits(engine, ids)
    equal = float((found.argmax(-1) == expected.argmax(-1)).float().mean())
    note = f"the same token at {equal:.0%} of the places"
    is_finite = bool(found.isfinite().all())
    error = relative_error(found, expected)
    yield Row(QUANTIZED, f"{bits}, logits", error, "", is_finite, "all are numbers", note)
    engine.clear_caches()


def flash_attention(context: Context) -> Iterator[Row]:
    """Compare logits and prefill of flash-attn with PyTorch's attention."""
    if not can_import("flash_attn"):
        yield Row(FLASH, "beside sdpa", None, note="not installed")
        return
    if not context.is_cuda or torch.cuda.get_device_capability(context.device) < FLASH_CAPABILITY:
        yield needs_cuda(FLASH, "beside sdpa, capability 8 or more")
        return
    weights = context.full
    before = weights.model.config._attn_implementation
    ids = prompt_ids(weights.processor, make_text(context, weights.processor, 2048))
    logits, seconds = {}, {}
    try:
        for name in ("sdpa", "flash_attention_2"):
            weights.model.set_attn_implementation(name)
            logits[name] = run_logits(weights, ids)
            seconds[name] = time_work(lambda: run_logits(weights, ids), context.device)
    finally:
        weights.model.set_attn_implementation(before)
    error = relative_error(logits["flash_attention_2"], logits["sdpa"])
    passes = error < FLASH_LIMIT
    yield Row(FLASH, "logits beside sdpa", error, "", passes, f"< {FLASH_LIMIT}")
    for name, took in seconds.items():
        yield Row(FLASH, f"prefill of 2,048 tokens, {name}", 1000 * took, "ms")
