"""Chooses and loads a checkpoint: model on its device, processor beside it.

Knows files and hardware; knows nothing of requests or pages.
"""

import logging
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoProcessor

from phi3v.inference.checkpoint_files import (
    EMBEDDED,
    PUBLISHED,
    PUBLISHED_BYTES,
    find_checkpoint,
    find_folder,
    gigabytes,
)
from phi3v.inference.hardware import (
    choose_attention,
    choose_device,
    choose_dtype,
    free_memory,
)
from phi3v.inference.quantization import (
    BYTES_PER_WEIGHT,
    bytes_per_weight,
    check_quantization,
    quantized_loading,
)
from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from phi3v.request import RequestError

logger = logging.getLogger(__name__)

# Parameters that --quantize makes smaller: 32 layers of 3,072 x (9,216 + 3,072 + 16,384 + 8,192).
PUBLISHED_LAYERS = 3_623_878_656
# What a request needs beside the weights: a context of 8,192 tokens at 384 KiB each (keys and
# values of 32 layers of 3,072 in two bytes) is 3.2 GB; activations of 17 crops are below 1 GB.
WORKING_BYTES = 4_000_000_000


def choose_model(name: str, device: str = "auto", quantize: str = "none") -> str:
    """Resolve "auto": Phi-3-vision where an accelerator has room for it, else embedded.

    Other names are returned unchanged. The choice and its reason are logged.
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
    """Load a checkpoint's model, on its device, and its processor.

    name is "embedded", a directory, or a hub id. device is a torch device or "auto"; dtype
    "float32", "float16", "bfloat16" or "auto"; attention "flash_attention_2", "sdpa", "eager" or
    "auto"; quantize "8bit", "4bit" or "none". Raises RequestError where the checkpoint cannot be
    found, does not fit the disk or the memory, or a choice is not possible here.
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
    """Raise RequestError where load_checkpoint certainly would; downloads and loads nothing."""
    chosen_device = choose_device(device)
    choose_attention(chosen_device, choose_dtype(chosen_device, dtype)[0], attention)
    check_quantization(quantize, chosen_device)
    find_folder(name)


def check_memory(
    folder: Path, device: torch.device, dtype: torch.dtype, quantize: str = "none"
) -> None:
    """Raise RequestError if the weights alone do not fit the device's free memory."""
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
