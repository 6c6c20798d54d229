"""From a checkpoint's name to an engine: the size of its caches, and how it decodes."""

import logging

import torch

from phi3v.inference.checkpoint import load_checkpoint
from phi3v.inference.checkpoint_files import EMBEDDED
from phi3v.inference.engine import DEFAULT_REUSE_BYTES, Engine
from phi3v.inference.hardware import free_memory

logger = logging.getLogger(__name__)

# Share of a GPU's memory, free after loading, that the caches may take; the published sizes need
# 384 KiB a token. Host memory is for other programs too, and gets a fixed size.
GPU_CACHE_SHARE = 1 / 4
# Share of that for the keys and values of captured decode steps.
CAPTURED_SHARE = 1 / 2


def load(
    name: str = EMBEDDED,
    device: str = "auto",
    dtype: str = "auto",
    attention: str = "auto",
    reuse_bytes: int | None = None,
    quantize: str = "none",
    replay: bool = True,
) -> Engine:
    """Load an engine for a checkpoint: "embedded", a directory, or a Hugging Face hub id.

    reuse_bytes is the size of its caches; None is a quarter of a GPU's free memory, and 500 MB
    elsewhere. quantize, "8bit" or "4bit", makes the language model's weights smaller, on CUDA.
    replay=False decodes without CUDA graphs. The other arguments and the errors are
    load_checkpoint's.
    """
    model, processor = load_checkpoint(name, device, dtype, attention, quantize)
    if reuse_bytes is None:
        is_gpu = model.device.type != "cpu"
        free = free_memory(model.device) if is_gpu else 0
        reuse_bytes = int(free * GPU_CACHE_SHARE) if is_gpu else DEFAULT_REUSE_BYTES
    problem = explain_eager(model.device, quantize, replay)
    logger.info("Decoding %s.", problem or "with CUDA graphs")
    replay_bytes = 0 if problem else int(reuse_bytes * CAPTURED_SHARE)
    return Engine(model, processor, name, reuse_bytes - replay_bytes, replay_bytes)


def explain_eager(device: torch.device, quantize: str, replay: bool) -> str:
    """Return why decoding is eager, as the end of a sentence; empty with CUDA graphs."""
    if device.type != "cuda":
        return f"eagerly: there are no CUDA graphs on {device.type}"
    if quantize != "none":
        return "eagerly: quantized weights cannot be captured"
    return "" if replay else "eagerly: the GPU is lent for one answer only"
