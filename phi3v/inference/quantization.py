"""8-bit and 4-bit weights of the language model: whether they are available, and their size.

Knows the names of the model's parts; loads nothing.
"""

import logging
from importlib.util import find_spec
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from phi3v.request import RequestError

QUANTIZED = ("8bit", "4bit")

# Never quantized: the vision tower and the projector, whose errors no later layer corrects, and the
# output head.
NOT_QUANTIZED = ["model.vision_embed_tokens", "lm_head"]

# Bytes per weight. Four bits are stored in blocks of 64 with a scale, itself of eight bits.
BYTES_PER_WEIGHT = {"8bit": 1.0, "4bit": 0.5 + 1 / 64}

PACKAGES = ("bitsandbytes", "accelerate")
INSTALL = "pip install 'bitsandbytes>=0.48,<0.51' 'accelerate>=1.10,<2'"


def check_quantization(quantize: str, device: torch.device) -> None:
    """Raise RequestError if `quantize` is unknown or not available on the device."""
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
    if missing := missing_packages():
        raise RequestError(f"--quantize {quantize} needs {' and '.join(missing)}: `{INSTALL}`.")


def missing_packages() -> list[str]:
    """Return the packages that quantization needs and that are not installed."""
    return [package for package in PACKAGES if find_spec(package) is None]


def quantized_loading(quantize: str, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Return the arguments of from_pretrained for it; products are computed in `dtype`."""
    if quantize == "none":
        return {}
    # It logs for every product of bfloat16 that it is computed in float16.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    config = BitsAndBytesConfig(
        load_in_8bit=quantize == "8bit",
        load_in_4bit=quantize == "4bit",
        llm_int8_skip_modules=NOT_QUANTIZED,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
    )
    # The weights cannot be moved afterwards.
    return {"quantization_config": config, "device_map": {"": device}}


def bytes_per_weight(name: str, dtype: torch.dtype, quantize: str) -> float:
    """Return the bytes that each weight of a checkpoint's tensor takes once loaded."""
    is_quantized = name.startswith("model.layers.") and name.endswith("_proj.weight")
    return BYTES_PER_WEIGHT.get(quantize, dtype.itemsize) if is_quantized else dtype.itemsize
