"""Out-of-memory errors of a device: recognize, explain, free; and its peak memory."""

import ctypes
import gc
import re
import sys

import torch

from phi3v.inference.checkpoint_files import gigabytes
from phi3v.inference.hardware import free_memory
from phi3v.translatable import Text

# "Tried to allocate 2.50 GiB" on CUDA, "you tried to allocate 400 bytes" on a CPU.
ASKED_FOR = re.compile(r"[Tt]ried to allocate ([\d.]+ \w+)")


def is_shortage(error: BaseException) -> bool:
    """True if an error means that a device has run out of memory."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # On a CPU PyTorch raises a plain RuntimeError.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def describe_shortage(message: str, device: torch.device) -> Text:
    """Turn PyTorch's out-of-memory message into one that says what to do.

    Call it after free_unused: the free memory that it names is what the next request has.
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


def free_unused(device: torch.device) -> None:
    """Return PyTorch's unused memory to the device, on a CPU the C library's."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    else:
        trim_heap()


def trim_heap() -> None:
    """Return what the C library holds of freed memory, where that is glibc.

    Building a model part by part left as much of it as the model takes.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def reset_peak(device: torch.device) -> None:
    """Reset the peak that read_peak returns."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def read_peak(device: torch.device) -> int | None:
    """Return the peak bytes of tensors on a CUDA device since reset_peak; None elsewhere."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
