"""Exports a training state in the published checkpoints' file format, which the app loads."""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from training.stages import Training
from training.tokenizer import CONTEXT, load_tokenizer, write_tokenizer
from training.tower import GRID, MEAN, PATCH, STD, Sizes

ASSETS = Path(__file__).parent.parent / "assets" / "embedded"
# Pictures up to 336 px are cut into one crop, up to 809 px into four, larger ones into up to nine.
LEAST_SCALE, LEAST_SIDE = 0.83, 672


def build_config(sizes: Sizes, image_token_id: int, end_ids: list[int]) -> dict:
    """Return config.json; "su" factors of 1 and equal context lengths amount to plain RoPE."""
    factors = [1.0] * (sizes.text_width // sizes.text_heads // 2)
    return {
        "architectures": ["Phi3VForCausalLM"],
        "model_type": "phi3_v",
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": end_ids[-1],
        "embd_layer": {
            "embedding_cls": "image",
            "hd_transform_order": "sub_glb",
            "projection_cls": "mlp",
            "use_hd_transform": True,
            "with_learnable_separator": True,
        },
        "hidden_act": "silu",
        "hidden_size": sizes.text_width,
        "image_token_id": image_token_id,
        "img_processor": {
            "image_dim_out": sizes.vision_width,
            "name": "clip_vision_model",
            "num_img_tokens": GRID * GRID // 4,
        },
        "initializer_range": 0.02,
        "intermediate_size": sizes.text_mlp,
        "max_position_embeddings": CONTEXT,
        "original_max_position_embeddings": CONTEXT,
        "num_attention_heads": sizes.text_heads,
        "num_hidden_layers": sizes.text_layers,
        "num_key_value_heads": sizes.text_heads,
        "rms_norm_eps": 1e-05,
        "rope_scaling": {"type": "su", "short_factor": factors, "long_factor": factors},
        "rope_theta": sizes.rope_theta,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        "use_cache": True,
        "vocab_size": sizes.vocab_size,
        "vision_config": {
            "hidden_size": sizes.vision_width,
            "intermediate_size": sizes.vision_mlp,
            "num_hidden_layers": sizes.vision_layers,
            "num_attention_heads": sizes.vision_heads,
            "image_size": GRID * PATCH,
            "patch_size": PATCH,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-05,
            "projection_dim": sizes.vision_width,
        },
    }


def write_json(path: Path, value: dict) -> None:
    """Write indented JSON that ends with a newline."""
    path.write_text(json.dumps(value, indent=2) + "\n")


def export(training: Training, folder: Path = ASSETS) -> None:
    """Write the checkpoint; each file is replaced only when its successor is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    network = training.trainee.network
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        temporary = Path(name)
        write_tokenizer(temporary)
        tokenizer = load_tokenizer(temporary)
        ends = [tokenizer.convert_tokens_to_ids(t) for t in ("<|end|>", "<|endoftext|>")]
        image_token = tokenizer.convert_tokens_to_ids("<|image|>")
        write_json(temporary / "config.json", build_config(network.sizes, image_token, ends))
        generation = {"bos_token_id": 1, "eos_token_id": [*ends, 2], "pad_token_id": ends[-1]}
        write_json(temporary / "generation_config.json", generation)
        preprocessor = {
            "image_processor_type": "Phi3VImageProcessor",
            "processor_class": "Phi3VProcessor",
            "num_crops": 1,
            "auto_num_crops": [9, 4],
            "auto_least_scale": LEAST_SCALE,
            "auto_least_side": LEAST_SIDE,
            "do_convert_rgb": True,
            "image_mean": MEAN,
            "image_std": STD,
            "num_img_tokens": GRID * GRID // 4,
        }
        write_json(temporary / "preprocessor_config.json", preprocessor)
        tensors = {
            name.replace("._orig_mod", ""): weight.detach().to("cpu", torch.float16).contiguous()
            for name, weight in network.state_dict().items()
        }
        save_file(tensors, temporary / "model.safetensors", metadata={"format": "pt"})
        for path in temporary.iterdir():
            path.chmod(0o644)  # safetensors makes files that only the owner can read
            shutil.move(path, folder / path.name)
