"""When a device's memory does not suffice: what to say, what to let go of; and the most it took.

Knows devices; knows nothing of requests or networks.
"""

import gc
import re

import torch

from phi3v.checkpoint import free_memory, gigabytes
from phi3v.text import Text

# "Tried to allocate 2.50 GiB" on CUDA, "you tried to allocate 400 bytes" on a CPU.
ASKED_FOR = re.compile(r"[Tt]ried to allocate ([\d.]+ \w+)")


def is_shortage(error: Exception) -> bool:
    """Whether an error of PyTorch's says that a device has no memory left."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # On a CPU PyTorch raises a plain RuntimeError.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def describe_shortage(message: str, device: torch.device) -> Text:
    """Say what PyTorch's message says of a shortage in words that help.

    Call it after release: what is free then is what the next request has.
    """
    asked = ASKED_FOR.search(message)
    needed = (
        Text("{size} more were needed", size=asked[1])
        if asked
        else Text("more was needed than there is")
    )
    return Text(
        "The answer did not fit the memory of {device}: {needed}; now that its part is freed, "
        "{free} are free. Use fewer pictures or a shorter conversation, "
        "or start the app with a smaller --num-crops, --max-new-tokens or --reuse-memory, or with "
        "--quantize 8bit or 4bit.",
        device=device,
        needed=needed,
        free=gigabytes(free_memory(device)),
    )


def release(device: torch.device) -> None:
    """Give memory that nothing holds any more back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def begin_peak(device: torch.device) -> None:
    """Measure the peak anew from here."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def read_peak(device: torch.device) -> int | None:
    """The most bytes that tensors took on a CUDA device since begin_peak; None elsewhere."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
