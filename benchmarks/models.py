"""Models to measure: a checkpoint, or random weights of the published sizes."""

import torch
from transformers import AutoProcessor

from phi3v import Engine, Phi3VConfig, Phi3VForCausalLM, load
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.inference.hardware import choose_device, choose_dtype

REAL_SHAPE = "real-shape"


def open_engine(name: str, layers: int, device: str, dtype: str) -> Engine:
    """Return the engine of a checkpoint, or of REAL_SHAPE with so many decoder layers."""
    if name != REAL_SHAPE:
        return load(name, device, dtype)
    chosen_device = choose_device(device)
    return build_real_shape(layers, chosen_device, choose_dtype(chosen_device, dtype)[0])


def build_real_shape(layers: int, device: torch.device, dtype: torch.dtype) -> Engine:
    """Return an engine with random weights of the published sizes, created on the device.

    Its tokenizer is the embedded checkpoint's, as the vocabulary does not affect speed.
    """
    processor = AutoProcessor.from_pretrained(EMBEDDED_FOLDER)
    processor.image_processor.auto_num_crops = [16, 4]
    model = build_model(real_shape_config(layers, processor.image_token_id), device, dtype)
    return Engine(model, processor, name=f"{REAL_SHAPE}, {layers} decoder layers")


def real_shape_config(layers: int, image_token_id: int) -> Phi3VConfig:
    """Return the published sizes, with so many decoder layers."""
    return Phi3VConfig(
        num_hidden_layers=layers,
        image_token_id=image_token_id,
        rope_scaling={"type": "su", "short_factor": [1.0] * 48, "long_factor": [1.0] * 48},
    )


def build_model(config: Phi3VConfig, device: torch.device, dtype: torch.dtype) -> Phi3VForCausalLM:
    """Return a model of random weights, created on the device; also from inference mode.

    Tensors made in inference mode could not be updated outside it, as RoPE tables are.
    """
    previous = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.inference_mode(False), torch.device(device):
            return Phi3VForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(previous)
