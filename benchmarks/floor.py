"""How fast a decoder could be at most: each token reads all weights, keys and values once."""

import time

import torch

from phi3v import Engine

COPIED_BYTES = 2**30


def measure_bandwidth(device: torch.device, size: int = COPIED_BYTES, runs: int = 10) -> float:
    """Bytes a second that a device's memory delivers, best of some copies (read plus written)."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(runs):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began = time.perf_counter()
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size / best


def bytes_per_token(engine: Engine, context: int) -> int:
    """What one token reads: the decoder's layers, the head, and `context` tokens' keys and values.

    Of the text embedding it reads one row, of the vision tower nothing.
    """
    model, config = engine.model, engine.model.config
    parts = [model.model.layers, model.model.norm, model.lm_head]
    weights = sum(weight.nbytes for part in parts for weight in part.parameters())
    width = config.num_key_value_heads * config.hidden_size // config.num_attention_heads
    return weights + 2 * config.num_hidden_layers * width * engine.dtype.itemsize * context


def floor_rate(engine: Engine, context: int) -> float:
    """The most tokens a second by the memory's bandwidth."""
    return measure_bandwidth(engine.device) / bytes_per_token(engine, context)
