"""8-bit and 4-bit weights of the language model: by which backend, whether it is there, their size.

Knows the names of the model's parts; loads nothing.
"""

import logging
from importlib.util import find_spec
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from phi3v.inference.hardware import has_avx512_bfloat16
from phi3v.inference.quantized_linear import Backend
from phi3v.request import RequestError

QUANTIZED = ("8bit", "4bit")

# Never quantized: the vision tower and the projector, whose errors no later layer corrects, and the
# output head.
NOT_QUANTIZED = ["model.vision_embed_tokens", "lm_head"]

# Bytes per weight on CUDA, where four bits are stored in blocks of 64 with a scale, itself of eight
# bits; on a CPU such scales take four bytes.
BYTES_PER_WEIGHT = {"8bit": 1.0, "4bit": 0.5 + 1 / 64}
BYTES_OF_SCALES = 4 / 64

# The extra "quantize", as in pyproject.toml.
REQUIREMENTS = {
    "bitsandbytes": "bitsandbytes>=0.50,<0.51",
    "accelerate": "accelerate>=1.10,<2",
    "onnxruntime": "onnxruntime>=1.23,<2",
    "onnx": "onnx>=1.19,<2",
}
PACKAGES: dict[str, tuple[str, ...]] = {
    "cuda": ("bitsandbytes", "accelerate"),
    "bitsandbytes": ("bitsandbytes",),
    "onnxruntime": ("onnxruntime", "onnx"),
}


def check_quantization(quantize: str, device: torch.device) -> None:
    """Raise RequestError if `quantize` is unknown or not available on the device."""
    if quantize == "none":
        return
    if quantize not in QUANTIZED:
        raise RequestError(
            f"There is no quantization {quantize!r}; use none, {', '.join(QUANTIZED)}."
        )
    if device.type not in ("cuda", "cpu"):
        raise RequestError(
            f"--quantize {quantize} is for CUDA and for CPUs, and this is {device.type}: leave it "
            "out, add --device cpu, or use --model embedded, which is small."
        )
    if missing := missing_packages(quantize, device):
        raise RequestError(
            f"--quantize {quantize} needs {' and '.join(missing)}: `{install_command(missing)}`."
        )


def missing_packages(quantize: str, device: torch.device) -> list[str]:
    """Return the packages that quantization needs on a device and that are not installed."""
    if device.type == "cuda":
        return find_missing("cuda")
    return find_missing(choose_backend(quantize)[0])


def install_command(packages: list[str]) -> str:
    """Return the command that installs these packages of the extra."""
    return " ".join(["pip install", *(f"'{REQUIREMENTS[package]}'" for package in packages)])


def find_missing(user: str) -> list[str]:
    """Return the packages that are not installed, of those in PACKAGES."""
    return [package for package in PACKAGES[user] if find_spec(package) is None]


def choose_backend(quantize: str, backend: str = "auto") -> tuple[Backend, str]:
    """Return what multiplies quantized weights on this CPU, and the reason.

    By trials of single products; `python -m benchmarks.quantized` compares them whole. backend
    takes another choice.
    """
    if backend == "onnxruntime":
        return "onnxruntime", "as asked"
    if backend == "bitsandbytes":
        return "bitsandbytes", "as asked"
    if quantize == "8bit":
        return "onnxruntime", "the fastest in 8 bits"
    if not has_avx512_bfloat16():
        return "onnxruntime", "this processor has no AVX512-BF16"
    if find_missing("bitsandbytes") and not find_missing("onnxruntime"):
        return "onnxruntime", "bitsandbytes is not installed"
    return "bitsandbytes", "the fastest with AVX512-BF16"


def quantized_loading(quantize: str, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Return the arguments of from_pretrained for it on CUDA; products are computed in `dtype`."""
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


def is_quantized(name: str) -> bool:
    """True for a checkpoint's tensors that are quantized: the decoder's linear layers."""
    return name.startswith("model.layers.") and name.endswith("_proj.weight")


def bytes_per_weight(name: str, dtype: torch.dtype, quantize: str, device: str = "cuda") -> float:
    """Return the bytes that each weight of a checkpoint's tensor takes once loaded."""
    if quantize not in BYTES_PER_WEIGHT or not is_quantized(name):
        return dtype.itemsize
    scales = BYTES_OF_SCALES if device == "cpu" else 0.0
    return BYTES_PER_WEIGHT[quantize] + scales
