"""Weights of eight or four bits for the language model: whether it can be had, and its price.

Knows the names of the network's parts; loads nothing.
"""

import logging
from importlib.util import find_spec
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from phi3v.request import RequestError

QUANTIZED = ("8bit", "4bit")

# Kept as they are: the vision tower and the projector, whose errors no later layer mends, and the
# output head.
KEPT = ["model.vision_embed_tokens", "lm_head"]

# Bytes of a weight. Four bits are stored by blocks of 64 with a scale, itself of eight bits.
BYTES_PER_WEIGHT = {"8bit": 1.0, "4bit": 0.5 + 1 / 64}

PACKAGES = ("bitsandbytes", "accelerate")


def check_quantization(quantize: str, device: torch.device) -> None:
    """Raise RequestError where weights of that kind cannot be had on a device."""
    if quantize == "none":
        return
    if quantize not in QUANTIZED:
        raise RequestError(
            f"There is no quantization {quantize!r}; use none, {', '.join(QUANTIZED)}."
        )
    if device.type != "cuda":
        raise RequestError(
            f"--quantize {quantize} needs a CUDA device, and this is {device.type}: leave it out, "
            "or use --model embedded, which is small."
        )
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise RequestError(
            f"--quantize {quantize} needs {' and '.join(missing)}: "
            "`pip install 'bitsandbytes>=0.48,<0.51' 'accelerate>=1.10,<2'`."
        )


def quantized_loading(quantize: str, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What from_pretrained is given for it; dtype is what products are computed in."""
    if quantize == "none":
        return {}
    # It says for every product of bfloat16 that it is computed in float16.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    config = BitsAndBytesConfig(
        load_in_8bit=quantize == "8bit",
        load_in_4bit=quantize == "4bit",
        llm_int8_skip_modules=KEPT,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
    )
    # The weights cannot be moved afterwards.
    return {"quantization_config": config, "device_map": {"": device}}


def bytes_per_weight(name: str, dtype: torch.dtype, quantize: str) -> float:
    """What each number of a checkpoint's tensor takes once it is loaded."""
    is_quantized = name.startswith("model.layers.") and name.endswith("_proj.weight")
    return BYTES_PER_WEIGHT.get(quantize, dtype.itemsize) if is_quantized else dtype.itemsize
