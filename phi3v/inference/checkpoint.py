"""Chooses and loads a checkpoint: model on its device, processor beside it.

Knows files and hardware; knows nothing of requests or pages.
"""

import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
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
from phi3v.inference.memory import free_unused, is_shortage
from phi3v.inference.quantization import (
    BYTES_PER_WEIGHT,
    bytes_per_weight,
    check_quantization,
    choose_backend,
    install_command,
    missing_packages,
    quantized_loading,
)
from phi3v.inference.quantized_copy import Weights
from phi3v.inference.quantized_loading import load_quantized
from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from phi3v.request import RequestError

logger = logging.getLogger(__name__)

# Parameters that --quantize makes smaller: 32 layers of 3,072 x (9,216 + 3,072 + 16,384 + 8,192).
PUBLISHED_LAYERS = 3_623_878_656
# What a picture at 16 crops and its answer need beside the weights: keys and values of 2,304 tokens
# at 384 KiB (32 layers of 3,072 in two bytes), 0.91 GB, and as much in cache slots; activations of
# prefill and vision tower, 0.46 GB. By arithmetic; 8,192 tokens would take 3.9 GB.
WORKING_BYTES = 2_300_000_000
# What an image processor names where the checkpoint names nothing, see Phi3VImageProcessor.
AUTO_NUM_CROPS = [16, 4]
# Most crops that "auto" takes of a picture on a CPU.
CPU_CROPS = 4


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
        missing = missing_packages("4bit", chosen_device)
        if not missing:
            logger.info("Model %s in 4 bits: %s needed for 16.", PUBLISHED, found)
            return PUBLISHED, "4bit"
        install = install_command(missing)
        logger.info("With `%s`, 4 bits of the real model fit here.", install)
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
    backend: str = "auto",
) -> tuple[Phi3VForCausalLM, Phi3VProcessor]:
    """Load a checkpoint's model, on its device, and its processor.

    name is "embedded", a directory, or a hub id. device is a torch device or "auto"; dtype
    "float32", "float16", "bfloat16" or "auto"; attention "flash_attention_2", "sdpa", "eager" or
    "auto"; quantize "8bit", "4bit" or "none"; backend what multiplies quantized weights on a CPU,
    "bitsandbytes", "onnxruntime" or "auto". Raises RequestError where the checkpoint cannot be
    found, does not fit the disk or the memory, or a choice is not possible here.
    """
    folder = find_checkpoint(name)
    chosen_device = choose_device(device)
    chosen_dtype, dtype_reason = choose_dtype(chosen_device, dtype)
    chosen_attention = choose_attention(chosen_device, chosen_dtype, attention)
    check_quantization(quantize, chosen_device)
    free_unused(chosen_device)  # of a model that this one replaces
    try:
        check_memory(folder, chosen_device, chosen_dtype, quantize)
    except (SafetensorError, OSError) as error:
        raise explain_damage(name, error) from error
    is_copied = quantize != "none" and chosen_device.type == "cpu"
    chosen_backend, reason = choose_backend(quantize, backend)
    by = f" by {chosen_backend} ({reason})" if is_copied else ""
    logger.info(
        "Loading %s on %s in %s (%s) with %s attention%s.",
        name,
        chosen_device,
        str(chosen_dtype).removeprefix("torch."),
        dtype_reason,
        chosen_attention,
        "" if quantize == "none" else f", the language model's weights in {quantize}{by}",
    )
    try:
        processor = AutoProcessor.from_pretrained(folder)
        limit_crops(processor, chosen_device)
        if is_copied:
            weights = Weights(quantize, chosen_backend, chosen_dtype)
            return load_quantized(folder, weights, chosen_attention), processor
        model, found = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=chosen_dtype,
            attn_implementation=chosen_attention,
            output_loading_info=True,
            **quantized_loading(quantize, chosen_device, chosen_dtype),
        )
        check_complete(model, processor, found)
    except RequestError:
        raise
    except Exception as error:  # whatever transformers stumbles on: it trusts a checkpoint's files
        if is_shortage(error):
            raise
        raise explain_damage(name, error) from error
    if quantize == "8bit":
        from phi3v.inference.int8_step import decode_without_waiting  # imports bitsandbytes

        decode_without_waiting(model)
    return (model if quantize != "none" else model.to(chosen_device)).eval(), processor


def limit_crops(processor: Phi3VProcessor, device: torch.device) -> None:
    """On a CPU let "auto" take at most CPU_CROPS crops, unless the checkpoint says how many.

    The published checkpoints do not: their 16 crops of one picture cost minutes there.
    """
    images = processor.image_processor
    if device.type == "cpu" and images.auto_num_crops == AUTO_NUM_CROPS:
        images.auto_num_crops = [min(CPU_CROPS, most) for most in AUTO_NUM_CROPS]


def check_complete(model: Phi3VForCausalLM, processor: Phi3VProcessor, found: Any) -> None:
    """Raise ValueError for another model's files, and for weights that are missing or misshapen.

    found is the loading info of from_pretrained, which fills what it lacks with random numbers.
    """
    for kind, made in ((Phi3VForCausalLM, model), (Phi3VProcessor, processor)):
        if not isinstance(made, kind):
            raise ValueError(f"a {type(made).__name__} instead of a {kind.__name__}")
    for problem, names in (("lacks", "missing_keys"), ("has another shape", "mismatched_keys")):
        if found[names]:
            raise ValueError(f"{problem}: {sorted(map(str, found[names]))[0]}")
    if len(processor.tokenizer) > model.config.vocab_size:
        raise ValueError("its tokenizer has more tokens than its model")


def explain_damage(name: str, error: Exception) -> RequestError:
    """Return the error in one sentence for a checkpoint whose files cannot be used."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return RequestError(
        "{name} cannot be loaded: its files are damaged, incomplete or those of another model "
        "({reason}). Get them again, or name another checkpoint.",
        name=Path(name).name,
        reason=lines[0][:200].rstrip("."),
    )


def check_choices(name: str, device: str, dtype: str, attention: str, quantize: str) -> None:
    """Raise RequestError where load_checkpoint certainly would; downloads and loads nothing."""
    chosen_device = choose_device(device)
    choose_attention(chosen_device, choose_dtype(chosen_device, dtype)[0], attention)
    check_quantization(quantize, chosen_device)
    find_folder(name)


def count_weights(
    folder: Path, dtype: torch.dtype, quantize: str, device: torch.device
) -> tuple[int, int]:
    """Return the bytes that a checkpoint's weights take on the device, and while they load."""
    needed = loaded = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (it is no dict)
                count = torch.Size(weights.get_slice(name).get_shape()).numel()
                needed += int(count * bytes_per_weight(name, dtype, quantize, device.type))
                loaded += count * dtype.itemsize
    return needed, loaded


def find_weight_bytes(name: str, device: str, dtype: str, quantize: str) -> int | None:
    """Return the bytes that a checkpoint's weights will take; None for what is not on this disk.

    None for damaged files too: loading them says what is wrong.
    """
    chosen = choose_device(device)
    try:
        folder = find_folder(name) or find_in_cache(name)
        return count_weights(folder, choose_dtype(chosen, dtype)[0], quantize, chosen)[0]
    except (RequestError, SafetensorError, OSError):
        return None


def check_memory(
    folder: Path, device: torch.device, dtype: torch.dtype, quantize: str = "none"
) -> None:
    """Raise RequestError if the weights alone do not fit the free memory.

    That is the device's, and the computer's own too, through which weights are loaded.
    """
    needed, loaded = count_weights(folder, dtype, quantize, device)
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
