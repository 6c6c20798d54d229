"""Chooses device, number format and attention implementation, and measures free memory."""

import logging
import platform
from importlib import import_module
from importlib.util import find_spec

import psutil
import torch

from phi3v.request import RequestError

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


# Bytes that devices are limited to, by name; see limit_memory.
_limits: dict[str, int] = {}


def free_memory(device: torch.device) -> int:
    """Return a device's free bytes; for MPS what Metal recommends, less what is in use."""
    limit = _limits.get(name_device(device))
    free = measure_free_memory(device)
    if limit is None:
        return free
    used = torch.cuda.mem_get_info(device)[1] - free if device.type == "cuda" else 0
    return max(0, min(free, limit - used))


def limit_memory(device: torch.device, total_bytes: int | None) -> None:
    """Make a device behave like one with `total_bytes` of memory; None takes the limit back.

    mem_get_info ignores the fraction that PyTorch allows itself, so free_memory counts it in.
    """
    if total_bytes is None:
        _limits.pop(name_device(device), None)
    else:
        _limits[name_device(device)] = total_bytes
    if device.type == "cuda":
        total = torch.cuda.mem_get_info(device)[1]
        fraction = 1.0 if total_bytes is None else min(1.0, total_bytes / total)
        torch.cuda.set_per_process_memory_fraction(fraction, device)


def name_device(device: torch.device) -> str:
    """Return a device's name with its index: "cuda" is the current one."""
    if device.type == "cuda" and device.index is None:
        return f"cuda:{torch.cuda.current_device()}"
    return str(device)


def measure_free_memory(device: torch.device) -> int:
    """Return a device's free bytes, whatever it is limited to."""
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
    return bool(find_capability("avx512_bf16") or find_capability("amx_bf16"))


def has_avx512_bfloat16() -> bool:
    """True if the processor has AVX512-BF16, for which bitsandbytes has a kernel."""
    return find_capability("avx512_bf16")


def find_capability(name: str) -> bool:
    """True if PyTorch says that the processor, an x86, has an extension."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get(name))


def choose_attention(device: torch.device, dtype: torch.dtype, attention: str) -> str:
    """Return the attention implementation: FlashAttention 2 where it can run, else PyTorch's."""
    can_flash = device.type == "cuda" and dtype != torch.float32 and has_flash_attn(device)
    if attention == "auto":
        return "flash_attention_2" if can_flash else "sdpa"
    if attention not in ("flash_attention_2", "sdpa", "eager"):
        raise RequestError(
            f"There is no attention {attention!r}; use auto, flash_attention_2, sdpa or eager."
        )
    if attention == "flash_attention_2" and not can_flash:
        raise RequestError(
            "flash_attention_2 needs a CUDA device since Ampere, a 16-bit dtype and the flash-attn "
            "package (requirements-flash-attn.txt). Use auto or sdpa."
        )
    return attention


def has_flash_attn(device: torch.device) -> bool:
    """True if the flash-attn package works on a CUDA device: since Ampere, and if it imports."""
    if torch.cuda.get_device_capability(device) < (8, 0) or find_spec("flash_attn") is None:
        return False
    try:
        import_module("flash_attn")
    except (ImportError, OSError, RuntimeError) as error:  # built for another PyTorch
        logger.warning("flash-attn is installed and cannot be imported: %s", error)
        return False
    return True


def choose_attention_kernels(device: torch.device) -> None:
    """Leave out cuDNN's attention, which PyTorch prefers on compute capability 9 and 10.

    It builds a plan for every new shape, 55 to 450 ms each, and a growing cache has a new shape at
    every token (pytorch: MHA.cpp; FunASR issue 3704, flashinfer pull request 5245).
    """
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)
        logger.info("Attention kernels: flash and memory-efficient, without cuDNN's.")
