"""Published weights to begin a run with, into a decoder of as many layers or more."""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

LAYERS = "model.layers."
OUTPUTS = ("self_attn.o_proj.weight", "mlp.down_proj.weight")


def grow(weights: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The same network with more decoder layers.

    Added layers are copies of those before them, spread evenly, whose outputs are zero: the
    network computes what it did, and they learn from there.

    Args:
        weights: by their published names.
        layers: of the decoder wanted.

    Raises:
        ValueError: the weights have more layers than wanted.
    """
    numbers = {int(name.split(".")[2]) for name in weights if name.startswith(LAYERS)}
    if len(numbers) > layers:
        raise ValueError(f"the weights have {len(numbers)} decoder layers, {layers} are wanted")
    grown = {name: weight for name, weight in weights.items() if not name.startswith(LAYERS)}
    origins = [number * len(numbers) // layers for number in range(layers)]
    for number, origin in enumerate(origins):
        prefix = f"{LAYERS}{origin}."
        is_added = origin in origins[:number]
        for name, weight in weights.items():
            if name.startswith(prefix):
                part = name.removeprefix(prefix)
                is_silent = is_added and part in OUTPUTS
                grown[f"{LAYERS}{number}.{part}"] = weight * 0 if is_silent else weight
    return grown


def load_weights(folder: Path, layers: int) -> dict[str, Tensor]:
    """A checkpoint's weights in float32, grown to so many decoder layers."""
    weights = load_file(folder / "model.safetensors")
    return grow({name: weight.float() for name, weight in weights.items()}, layers)
