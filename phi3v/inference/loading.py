"""From a checkpoint's name to an engine: how memory is divided, and how it decodes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from phi3v.inference.adapter_files import check_adapters, name_adapters
from phi3v.inference.adapters import Adapters
from phi3v.inference.checkpoint import load_checkpoint
from phi3v.inference.checkpoint_files import EMBEDDED
from phi3v.inference.engine import DEFAULT_REUSE_BYTES, VISION_CACHE_SHARE, Engine
from phi3v.inference.hardware import choose_attention_kernels, free_memory
from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from phi3v.model.cuda_graphs import MIN_SLOTS
from phi3v.model.decoding import count_cache_bytes

logger = logging.getLogger(__name__)

# Share of a GPU's memory, free after loading, for each of both: caches of vision features and KV
# prefixes, and the cache slots of captured decode steps. Host memory is for other programs too,
# and gets a fixed size.
GPU_SHARE = 1 / 8
# A follow-up about a picture at 16 crops needs its prefix: 1,921 tokens and text, in buffers that
# grow by 256. Small cards give it more than the share, up to a third of what is free.
FOLLOW_UP_TOKENS = 2560
MAX_REUSE_SHARE = 1 / 3
# And the smallest captured step, up to a quarter.
MAX_CAPTURED_SHARE = 1 / 4


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes for an engine's caches and for the cache slots of its captured decode steps."""

    reuse_bytes: int
    captured_bytes: int


def plan_memory(free: int, bytes_per_token: int) -> MemoryPlan:
    """Divide a GPU's `free` bytes; the rest is for the running answer.

    bytes_per_token are its keys and values in all layers.
    """
    share = int(free * GPU_SHARE)
    follow_up = int(FOLLOW_UP_TOKENS * bytes_per_token / (1 - VISION_CACHE_SHARE)) + 1
    smallest = MIN_SLOTS * bytes_per_token
    return MemoryPlan(
        max(share, min(follow_up, int(free * MAX_REUSE_SHARE))),
        max(share, min(smallest, int(free * MAX_CAPTURED_SHARE))),
    )


def load(
    name: str = EMBEDDED,
    device: str = "auto",
    dtype: str = "auto",
    attention: str = "auto",
    reuse_bytes: int | None = None,
    quantize: str = "none",
    replay: bool = True,
    eager_answers: int = 0,
    adapters: Sequence[str] = (),
    backend: str = "auto",
    needs_all_adapters: bool = True,
) -> Engine:
    """Load an engine for a checkpoint: "embedded", a directory, or a Hugging Face hub id.

    reuse_bytes is the size of its caches; None is an eighth of a GPU's free memory or what a
    follow-up needs, and 500 MB elsewhere. quantize, "8bit" or "4bit", makes the language model's
    weights smaller, on CUDA and CPUs. replay=False decodes without CUDA graphs; with them, they are
    captured after `eager_answers` answers. adapters are PEFT adapters to choose from, each a
    folder, a hub id, or name=folder. The other arguments and the errors are load_checkpoint's, and
    RequestError for an adapter that does not fit, unless needs_all_adapters=False leaves that to
    the requests that choose it.
    """
    places = name_adapters(tuple(adapters))
    check_adapters(places)
    model, processor = load_checkpoint(name, device, dtype, attention, quantize, backend)
    loaded = Adapters(model, places, needs_all_adapters)
    return build_engine(
        model, processor, name, reuse_bytes, quantize, replay, eager_answers, loaded
    )


def build_engine(
    model: Phi3VForCausalLM,
    processor: Phi3VProcessor,
    name: str,
    reuse_bytes: int | None = None,
    quantize: str = "none",
    replay: bool = True,
    eager_answers: int = 0,
    adapters: Adapters | None = None,
) -> Engine:
    """Build an engine of a loaded model with the budgets that its device allows; see load."""
    choose_attention_kernels(model.device)
    plan = MemoryPlan(DEFAULT_REUSE_BYTES, 0)
    if model.device.type != "cpu":
        bytes_per_token = count_cache_bytes(model.config, model.dtype)
        plan = plan_memory(free_memory(model.device), bytes_per_token)
    reason = explain_eager(model.device, quantize, replay)
    logger.info("Decoding %s.", reason or "with CUDA graphs")
    return Engine(
        model,
        processor,
        name,
        plan.reuse_bytes if reuse_bytes is None else reuse_bytes,
        0 if reason else plan.captured_bytes,
        eager_answers,
        quantize,
        adapters,
    )


def explain_eager(device: torch.device, quantize: str, replay: bool) -> str:
    """Return why decoding is eager, as the end of a sentence; empty with CUDA graphs."""
    if device.type != "cuda":
        return f"eagerly: there are no CUDA graphs on {device.type}"
    if quantize != "none":
        return "eagerly: quantized weights cannot be captured"
    return "" if replay else "eagerly, as asked"
