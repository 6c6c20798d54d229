"""Builds a model on a CPU from a quantized copy of its checkpoint, layer by layer."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, GenerationConfig

from phi3v.inference.memory import trim_heap
from phi3v.inference.quantization import is_quantized
from phi3v.inference.quantized_copy import SCALES, Weights, find_copy
from phi3v.inference.quantized_linear import build_linear
from phi3v.model import Phi3VForCausalLM


def load_quantized(folder: Path, weights: Weights, attention: str) -> Phi3VForCausalLM:
    """Load a checkpoint with a quantized language model on the CPU, from its copy.

    Raises RequestError where the copy cannot be made, ValueError for tensors that do not fit.
    """
    copy = find_copy(folder, weights)
    model = build_empty(AutoConfig.from_pretrained(folder), weights.dtype, attention)
    problems: list[str] = []
    for file in sorted(copy.glob("*.safetensors")):
        problems += fill(model, load_file(file), weights)
        trim_heap()
    model.tie_weights()
    tensors = [*model.named_parameters(), *model.named_buffers()]
    problems += [f"missing: {name}" for name, tensor in tensors if tensor.is_meta]
    if problems:
        raise ValueError(f"The checkpoint does not fit Phi-3-V. {'; '.join(sorted(problems))}")
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()


def build_empty(config: Any, dtype: torch.dtype, attention: str) -> Phi3VForCausalLM:
    """Return a model whose parameters have no storage; buffers that no file has are computed."""
    with torch.device("meta"):
        model = Phi3VForCausalLM._from_config(config, dtype=dtype, attn_implementation=attention)
    decoder = model.model
    decoder.rotary_emb = type(decoder.rotary_emb)(config)
    embeddings = decoder.vision_embed_tokens.img_processor["vision_model"].embeddings
    positions = torch.arange(embeddings.num_positions)[None]
    embeddings.register_buffer("position_ids", positions, persistent=False)
    return model


def fill(model: nn.Module, tensors: dict[str, torch.Tensor], weights: Weights) -> list[str]:
    """Put a file's tensors into the model, quantized weights as layers; return misfits."""
    linears = dict(model.named_modules())
    for name in filter(is_quantized, list(tensors)):
        linear = linears.get(name.removesuffix(".weight"))
        if not isinstance(linear, nn.Linear) or linear.out_features != len(tensors[name]):
            continue  # reported as unexpected
        parts = {"weight": tensors.pop(name), "scales": tensors.pop(name + SCALES)}
        parent, _, attribute = name.removesuffix(".weight").rpartition(".")
        layer = build_linear(parts, linear.in_features, weights.backend)
        setattr(model.get_submodule(parent), attribute, layer)
    try:
        unexpected = model.load_state_dict(tensors, strict=False, assign=True).unexpected_keys
    except RuntimeError as error:  # a tensor of another shape, by name
        return [str(error)]
    ignored = "|".join(model._keys_to_ignore_on_load_unexpected or ["$^"])  # type: ignore[arg-type]
    return [f"unexpected: {name}" for name in unexpected if not re.search(ignored, name)]
