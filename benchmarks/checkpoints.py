"""A checkpoint folder of random weights in the published shapes, to measure loading with."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoProcessor

from benchmarks.models import real_shape_config
from phi3v import Phi3VForCausalLM
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER


def write_checkpoint(folder: Path, layers: int) -> None:
    """Write a checkpoint with random bfloat16 weights, one file for each decoder layer.

    All layers get the same weights: only their sizes count. Tokenizer and image settings are the
    embedded checkpoint's, the crops the published ones.
    """
    folder.mkdir(parents=True)
    for file in EMBEDDED_FOLDER.glob("*.json"):
        shutil.copy(file, folder)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    own = ("auto_num_crops", "auto_least_scale", "auto_least_side")
    settings = {key: value for key, value in settings.items() if key not in own}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    (folder / "model.safetensors.index.json").unlink(missing_ok=True)
    image_token_id = AutoProcessor.from_pretrained(EMBEDDED_FOLDER).image_token_id
    config = real_shape_config(layers, image_token_id)
    config.save_pretrained(folder)
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in Phi3VForCausalLM(config).state_dict().items()}
    of_layer = "model.layers.0."
    first = draw({k: v for k, v in shapes.items() if k.startswith(of_layer)})
    for layer in range(layers):
        named = {k.replace(of_layer, f"model.layers.{layer}."): v for k, v in first.items()}
        save_file(named, folder / f"model-{layer:02d}.safetensors", {"format": "pt"})
    others = draw({k: v for k, v in shapes.items() if not k.startswith("model.layers.")})
    save_file(others, folder / "model-others.safetensors", {"format": "pt"})


def draw(shapes: dict[str, torch.Size]) -> dict[str, torch.Tensor]:
    """Return random matrices and norms of ones, in bfloat16."""
    return {
        name: torch.ones(shape, dtype=torch.bfloat16)
        if len(shape) == 1
        else torch.empty(shape, dtype=torch.bfloat16).normal_(std=0.02)
        for name, shape in shapes.items()
    }
