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
    find_in_cache,
    gigabytes,
)
from phi3v.inference.hardware import (
    choose_attention,
    choose_device,
    choose_dtype,
    free_memory,
)
from phi3v.inference.memory import free_unused
from phi3v.inference.quantization import (
    BYTES_PER_WEIGHT,
    INSTALL,
    bytes_per_weight,
    check_quantization,
    missing_packages,
    quantized_loading,
)
from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from phi3v.request import RequestError

logger = logging.getLogger(__name__)

# Parameters that --quantize makes smaller: 32 layers of 3,072 x (9,216 + 3,072 + 16,384 + 8,192).
PUBLISHED_LAYERS = 3_623_878_656
# What a picture at 16 crops and its answer need beside the weights: keys and values of 2,304 tokens
# at 384 KiB (32 layers of 3,072 in two bytes), 0.91 GB, and as much in cache slots; activations of
# prefill and vision tower, 0.46 GB. By arithmetic; 8,192 tokens would take 3.9 GB.
WORKING_BYTES = 2_300_000_000


def choose_weights(name: str, device: str = "auto", quantize: str = "none") -> tuple[str, str]:
    """Resolve "auto": the checkpoint and its quantization.

    That is Phi-3-vision where an accelerator has room for it, on a smaller CUDA device in 4 bits if
    bitsandbytes is installed, and else the embedded checkpoint. Other names are returned unchanged.
    The choice and its reason are logged.
    """
    if name != "auto":
        return name, quantize
    chosen_device = choose_device(device)
    if chosen_device.type == "cpu":
        logger.info(
            "Model %s: there is no CUDA or MPS device. --model %s runs the real one.",
            EMBEDDED,
            PUBLISHED,
        )
        return EMBEDDED, quantize
    free = free_memory(chosen_device)
    found = f"{chosen_device} has {gigabytes(free)} free of {gigabytes(needed_bytes(quantize))}"
    if free >= needed_bytes(quantize):
        logger.info("Model %s: %s needed.", PUBLISHED, found)
        return PUBLISHED, quantize
    is_smaller = chosen_device.type == "cuda" and quantize == "none"
    if is_smaller and free >= needed_bytes("4bit"):
        if not missing_packages():
            logger.info("Model %s in 4 bits: %s needed for 16.", PUBLISHED, found)
            return PUBLISHED, "4bit"
        logger.info("With `%s`, 4 bits of the real model fit here.", INSTALL)
    logger.info("Model %s: %s needed. --model %s tries it.", EMBEDDED, found, PUBLISHED)
    return EMBEDDED, quantize


def needed_bytes(quantize: str) -> int:
    """Return the free bytes that Phi-3-vision needs for a picture at 16 crops and an answer."""
    saved = PUBLISHED_LAYERS * (2 - BYTES_PER_WEIGHT.get(quantize, 2))
    return PUBLISHED_BYTES - int(saved) + WORKING_BYTES


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
    free_unused(chosen_device)  # of a model that this one replaces
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
    if quantize == "8bit":
        from phi3v.inference.int8_step import decode_without_waiting  # imports bitsandbytes

        decode_without_waiting(model)
    return (model if quantize != "none" else model.to(chosen_device)).eval(), processor


def check_choices(name: str, device: str, dtype: str, attention: str, quantize: str) -> None:
    """Raise RequestError where load_checkpoint certainly would; downloads and loads nothing."""
    chosen_device = choose_device(device)
    choose_attention(chosen_device, choose_dtype(chosen_device, dtype)[0], attention)
    check_quantization(quantize, chosen_device)
    find_folder(name)


def count_weights(folder: Path, dtype: torch.dtype, quantize: str) -> tuple[int, int]:
    """Return the bytes that a checkpoint's weights take on the device, and while they load."""
    needed = loaded = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (it is no dict)
                count = torch.Size(weights.get_slice(name).get_shape()).numel()
                needed += int(count * bytes_per_weight(name, dtype, quantize))
                loaded += count * dtype.itemsize
    return needed, loaded


def find_weight_bytes(name: str, device: str, dtype: str, quantize: str) -> int | None:
    """Return the bytes that a checkpoint's weights will take; None if it is not on this disk."""
    try:
        folder = find_folder(name) or find_in_cache(name)
    except RequestError:
        return None
    return count_weights(folder, choose_dtype(choose_device(device), dtype)[0], quantize)[0]


def check_memory(
    folder: Path, device: torch.device, dtype: torch.dtype, quantize: str = "none"
) -> None:
    """Raise RequestError if the weights alone do not fit the free memory.

    That is the device's, and the computer's own too, through which weights are loaded.
    """
    needed, loaded = count_weights(folder, dtype, quantize)
    places = [(device, needed)]
    if device.type != "cpu" and quantize == "none":  # quantized layers are moved one by one
        places.append((torch.device("cpu"), loaded))
    for place, size in places:
        free = free_memory(place)
        if size > free:
            raise RequestError(
                "The weights need {needed} as {dtype} and {device} has {free} free. Close other "
                "programs, choose a smaller --dtype or --quantize, or use --model {embedded}.",
                needed=gigabytes(size),
                dtype=str(dtype).removeprefix("torch."),
                device=place,
                free=gigabytes(free),
                embedded=EMBEDDED,
            )
