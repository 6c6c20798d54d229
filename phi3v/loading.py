"""From a checkpoint's name to an engine: what it may keep, and how it decodes."""

import logging

import torch

from phi3v.checkpoint import EMBEDDED, free_memory, load_checkpoint
from phi3v.engine import DEFAULT_REUSE_BYTES, Engine

logger = logging.getLogger(__name__)

# The share of a GPU's memory, free after loading, that is kept for it; a conversation with the
# published sizes takes 384 KiB a token. A computer's own memory is for other programs too.
SHARE_OF_GPU_MEMORY = 1 / 4
# The share of that for the conversation that is being decoded by recorded steps.
SHARE_OF_REPLAYS = 1 / 2


def load(
    name: str = EMBEDDED,
    device: str = "auto",
    dtype: str = "auto",
    attention: str = "auto",
    reuse_bytes: int | None = None,
    quantize: str = "none",
    replay: bool = True,
) -> Engine:
    """An engine for a checkpoint: "embedded", a directory, or an id on the Hugging Face hub.

    reuse_bytes is how much it may keep for later requests; None is a quarter of what is free on a
    GPU, and 500 MB elsewhere. quantize, "8bit" or "4bit", makes the language model's weights
    smaller, on CUDA. replay=False records no steps where they could be. The other arguments and
    the errors are load_checkpoint's.
    """
    model, processor = load_checkpoint(name, device, dtype, attention, quantize)
    if reuse_bytes is None:
        is_gpu = model.device.type != "cpu"
        free = free_memory(model.device) if is_gpu else 0
        reuse_bytes = int(free * SHARE_OF_GPU_MEMORY) if is_gpu else DEFAULT_REUSE_BYTES
    problem = choose_replay(model.device, quantize, replay)
    logger.info("Tokens are decoded %s.", problem or "by recorded steps (CUDA graphs)")
    replay_bytes = 0 if problem else int(reuse_bytes * SHARE_OF_REPLAYS)
    return Engine(model, processor, name, reuse_bytes - replay_bytes, replay_bytes)


def choose_replay(device: torch.device, quantize: str, replay: bool) -> str:
    """Why steps are not recorded, as the end of a sentence; empty where they are."""
    if device.type != "cuda":
        return f"one operation at a time: there are no CUDA graphs on {device.type}"
    if quantize != "none":
        return "one operation at a time: weights of fewer bits cannot be recorded"
    return "" if replay else "one operation at a time: the GPU is lent for one answer only"
