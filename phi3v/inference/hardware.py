"""Chooses device, number format and attention implementation, and measures free memory."""

import platform
from importlib.util import find_spec

import psutil
import torch

from phi3v.request import RequestError

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def free_memory(device: torch.device) -> int:
    """Return a device's free bytes; for MPS what Metal recommends, less what is in use."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        used = torch.mps.driver_allocated_memory()
        return int(torch.mps.recommended_max_memory() - used)
    return int(psutil.virtual_memory().available)


def choose_device(device: str) -> torch.device:
    """Return the device of that name; for "auto" the first of CUDA, MPS and CPU that exists.

    Raises RequestError for one that does not exist here.
    """
    if device != "auto":
        try:
            chosen = torch.device(device)
        except RuntimeError as error:
            raise RequestError(
                f"There is no device {device!r}; use auto, cuda, cuda:N, mps or cpu."
            ) from error
        is_there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not is_there.get(chosen.type, True):
            raise RequestError(f"This machine (or this PyTorch) has no {chosen.type} device.")
        return chosen
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_dtype(device: torch.device, dtype: str) -> tuple[torch.dtype, str]:
    """Return the number format for the weights and the reason for it."""
    if dtype != "auto":
        if dtype not in DTYPES:
            raise RequestError(f"There is no dtype {dtype!r}; use auto, {', '.join(DTYPES)}.")
        return DTYPES[dtype], "as asked"
    if device.type == "cuda":
        # Without including emulation: before Ampere bfloat16 works, but slowly.
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16, "the type it was trained in"
        return torch.float16, "this GPU has no bfloat16"
    if device.type == "mps":
        # Norms and softmax are computed in float32 either way; 16 bits let 8.3 GB of weights
        # fit a 16 GB Mac, and older macOS has no bfloat16.
        return torch.float16, "half the memory of float32 on Metal"
    if has_fast_bfloat16():
        return torch.bfloat16, "this processor multiplies it in hardware"
    return torch.float32, "this processor has no hardware for 16 bits"


def has_fast_bfloat16() -> bool:
    """True if the processor has AVX512-BF16 or AMX; without, bfloat16 is 100 times slower."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def choose_attention(device: torch.device, dtype: torch.dtype, attention: str) -> str:
    """Return the attention implementation: FlashAttention 2 where it can run, else PyTorch's."""
    can_flash = device.type == "cuda" and dtype != torch.float32 and bool(find_spec("flash_attn"))
    if attention == "auto":
        return "flash_attention_2" if can_flash else "sdpa"
    if attention not in ("flash_attention_2", "sdpa", "eager"):
        raise RequestError(
            f"There is no attention {attention!r}; use auto, flash_attention_2, sdpa or eager."
        )
    if attention == "flash_attention_2" and not can_flash:
        raise RequestError(
            "flash_attention_2 needs a CUDA device, a 16-bit dtype and the flash-attn package "
            "(requirements-flash-attn.txt). Use auto or sdpa."
        )
    return attention
