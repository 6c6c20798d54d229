"""Find, download and load a checkpoint: which device, number type and attention, and why.

Knows files and hardware; knows nothing of requests or pages.
"""

import hashlib
import logging
import platform
import shutil
from importlib.util import find_spec
from pathlib import Path

import psutil
import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoProcessor

from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from phi3v.quantization import (
    BYTES_PER_WEIGHT,
    bytes_per_weight,
    check_quantization,
    quantized_loading,
)
from phi3v.request import RequestError

logger = logging.getLogger(__name__)

EMBEDDED = "embedded"
EMBEDDED_FOLDER = Path(__file__).parent.parent / "assets" / "embedded"
PUBLISHED = "microsoft/Phi-3-vision-128k-instruct"

# 4,146,621,440 parameters of two bytes each (counted in the published files' headers).
PUBLISHED_BYTES = 8_293_242_880
# The parameters that --quantize makes smaller: 32 layers of 3,072 x (9,216 + 3,072 + 16,384 +
# 8,192).
PUBLISHED_LAYERS = 3_623_878_656
# What a request needs beside the weights: a context of 8,192 tokens at 384 KiB each (keys and
# values of 32 layers of 3,072 in two bytes) is 3.2 GB; activations of 17 crops are below 1 GB.
WORKING_BYTES = 4_000_000_000

FINGERPRINT_BYTES = 2**20

FILES = ["*.json", "*.safetensors"]  # no pickles, and no code

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def choose_model(name: str, device: str = "auto", quantize: str = "none") -> str:
    """The checkpoint for a name: for "auto" Phi-3-vision where an accelerator has room for it.

    Everywhere else "auto" is the embedded checkpoint. The choice and its reason are logged.
    """
    if name != "auto":
        return name
    chosen_device = choose_device(device)
    saved = PUBLISHED_LAYERS * (2 - BYTES_PER_WEIGHT.get(quantize, 2))
    needed = PUBLISHED_BYTES - int(saved) + WORKING_BYTES
    if chosen_device.type == "cpu":
        reason = "there is no CUDA or MPS device"
    elif (free := free_memory(chosen_device)) < needed:
        reason = f"{chosen_device} has {gigabytes(free)} free of {gigabytes(needed)} needed"
    else:
        logger.info("Model %s: %s has %s free.", PUBLISHED, chosen_device, gigabytes(free))
        return PUBLISHED
    logger.info("Model %s: %s. --model %s runs the real one.", EMBEDDED, reason, PUBLISHED)
    return EMBEDDED


def load_checkpoint(
    name: str,
    device: str = "auto",
    dtype: str = "auto",
    attention: str = "auto",
    quantize: str = "none",
) -> tuple[Phi3VForCausalLM, Phi3VProcessor]:
    """The network, on its device, and the processor of a checkpoint.

    name is "embedded", a directory, or a hub id. device is a torch device or "auto"; dtype
    "float32", "float16", "bfloat16" or "auto"; attention "flash_attention_2", "sdpa", "eager" or
    "auto"; quantize "8bit", "4bit" or "none". Raises RequestError where the checkpoint cannot be
    had, does not fit the disk or the memory, or a choice is not possible here.
    """
    folder = find_checkpoint(name)
    chosen_device = choose_device(device)
    chosen_dtype, dtype_reason = choose_dtype(chosen_device, dtype)
    chosen_attention = choose_attention(chosen_device, chosen_dtype, attention)
    check_quantization(quantize, chosen_device)
    check_memory(folder, chosen_device, chosen_dtype, quantize)
    logger.info(
        "Loading %s on %s in %s (%s) with %s attention%s.",
        name,
        chosen_device,
        str(chosen_dtype).removeprefix("torch."),
        dtype_reason,
        chosen_attention,
        "" if quantize == "none" else f", the language model's weights in {quantize}",
    )
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=chosen_dtype,
        attn_implementation=chosen_attention,
        **quantized_loading(quantize, chosen_device, chosen_dtype),
    )
    return (model if quantize != "none" else model.to(chosen_device)).eval(), processor


def check_choices(name: str, device: str, dtype: str, attention: str, quantize: str) -> None:
    """Raise RequestError where load_checkpoint certainly would; quick, and downloads nothing."""
    chosen_device = choose_device(device)
    choose_attention(chosen_device, choose_dtype(chosen_device, dtype)[0], attention)
    check_quantization(quantize, chosen_device)
    find_folder(name)


def find_checkpoint(name: str) -> Path:
    """The folder of a checkpoint, downloading a hub id's files unless they are in the cache."""
    return find_folder(name) or download_checkpoint(name)


def find_folder(name: str) -> Path | None:
    """The folder of that name, None for a hub id; RequestError where it is neither."""
    folder = EMBEDDED_FOLDER if name == EMBEDDED else Path(name).expanduser()
    if folder.is_dir():
        if not any(folder.glob("*.safetensors")):
            raise RequestError(
                f"{folder} holds no .safetensors file; only that format is loaded, because "
                "pickled weights can run code. Name a folder that has config.json and weights."
            )
        return folder
    if name == EMBEDDED or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise RequestError(
            f"There is no checkpoint folder {name!r}; name an existing folder, a hub id such as "
            f"{PUBLISHED}, or {EMBEDDED}."
        )
    return None


def find_revision(folder: Path) -> str:
    """What tells a checkpoint's state: the hub's commit, or a fingerprint of a folder's files.

    Of large files the size, the beginning and the end count: other weights differ there too.
    """
    if folder.parent.name == "snapshots":
        return folder.name
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        size = file.stat().st_size
        with file.open("rb") as content:
            digest.update(f"{file.name} {size} ".encode() + content.read(FINGERPRINT_BYTES))
            content.seek(max(0, size - FINGERPRINT_BYTES))
            digest.update(content.read())
    return digest.hexdigest()[:40]


def download_checkpoint(hub_id: str) -> Path:
    """The cached folder of a hub id, after checking that the disk has room for what is missing."""
    try:
        files = snapshot_download(hub_id, allow_patterns=FILES, dry_run=True)
        missing = sum(file.file_size or 0 for file in files if file.will_download)
        check_disk(hub_id, missing)
        return Path(snapshot_download(hub_id, allow_patterns=FILES))
    except (httpx.TransportError, OfflineModeIsEnabled, LocalEntryNotFoundError):
        return find_in_cache(hub_id)
    except HfHubHTTPError as error:
        raise RequestError(
            "The hub does not give {hub_id}: {error}. Check the name, and log in with "
            "`hf auth login` if the checkpoint asks for it.",
            hub_id=hub_id,
            error=error,
        ) from error


def find_in_cache(hub_id: str) -> Path:
    """The folder of a hub id that was downloaded before; RequestError where it was not."""
    try:
        return Path(snapshot_download(hub_id, allow_patterns=FILES, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise RequestError(
            "{hub_id} is not in the cache and the hub cannot be reached. Connect once to "
            "download it ({size} for the published checkpoints), name a folder that holds it, or "
            "use --model {embedded}, which needs no network.",
            hub_id=hub_id,
            size=gigabytes(PUBLISHED_BYTES),
            embedded=EMBEDDED,
        ) from error


def check_disk(hub_id: str, needed: int) -> None:
    """Raise RequestError where the hub's cache has less room than a download needs."""
    cache = Path(constants.HF_HUB_CACHE)
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise RequestError(
            "{hub_id} needs {needed} on the disk and {existing} has {free} free. Make room, or set "
            "HF_HOME to a folder on another disk.",
            hub_id=hub_id,
            needed=gigabytes(needed),
            existing=existing,
            free=gigabytes(free),
        )


def check_memory(
    folder: Path, device: torch.device, dtype: torch.dtype, quantize: str = "none"
) -> None:
    """Raise RequestError where the weights alone do not fit the device's free memory."""
    needed = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (it is no dict)
                count = torch.Size(weights.get_slice(name).get_shape()).numel()
                needed += int(count * bytes_per_weight(name, dtype, quantize))
    free = free_memory(device)
    if needed > free:
        raise RequestError(
            "The weights need {needed} as {dtype} and {device} has {free} free. Close other "
            "programs, choose a smaller --dtype or --quantize, or use --model {embedded}.",
            needed=gigabytes(needed),
            dtype=str(dtype).removeprefix("torch."),
            device=device,
            free=gigabytes(free),
            embedded=EMBEDDED,
        )


def free_memory(device: torch.device) -> int:
    """Bytes a device can still take; for MPS what Metal recommends, less what is in use."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        used = torch.mps.driver_allocated_memory()
        return int(torch.mps.recommended_max_memory() - used)
    return int(psutil.virtual_memory().available)


def choose_device(device: str) -> torch.device:
    """The device of that name, or for "auto" the first of CUDA, MPS and CPU that is there."""
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
    """The number type for the weights and the reason for it."""
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
    """Whether the processor has AVX512-BF16 or AMX; without, bfloat16 is 100 times slower."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def choose_attention(device: torch.device, dtype: torch.dtype, attention: str) -> str:
    """The attention implementation: FlashAttention 2 where it can run, else PyTorch's own."""
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
            "(requirements-cuda.txt). Use auto or sdpa."
        )
    return attention


def gigabytes(count: int) -> str:
    """A number of bytes as people read it: 8,293,242,880 is "8.3 GB"."""
    return f"{count / 1e9:.1f} GB"
