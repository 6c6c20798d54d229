"""Upper limit of decoding speed: each token reads all weights, keys and values once."""

import time

import torch

from phi3v import Engine

COPIED_BYTES = 2**30


def measure_bandwidth(device: torch.device, size: int = COPIED_BYTES, runs: int = 10) -> float:
    """Return a device's memory bandwidth in bytes/s, read plus written, best of `runs` copies."""
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
    """Return the bytes that decoding one token reads: layers, head, keys and values of `context`.

    Of the text embedding it reads one row, which is not counted, of the vision tower nothing.
    """
    model = engine.model
    parts = [model.model.layers, model.model.norm, model.lm_head]
    weights = sum(weight.nbytes for part in parts for weight in part.parameters())
    return weights + engine.cache_bytes_per_token * context


def floor_rate(engine: Engine, context: int) -> float:
    """Return the most tokens per second that memory bandwidth allows."""
    return measure_bandwidth(engine.device) / bytes_per_token(engine, context)
