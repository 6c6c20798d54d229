"""Copies of checkpoints whose language model has 8-bit or 4-bit weights, for CPUs.

A copy is made once, tensor by tensor from the checkpoint's files, and kept beside the hub's cache:
one file for each decoder layer, one for everything else, and a manifest. Later starts read it.
Knows files and tensors; knows nothing of how a backend stores a weight, nor of requests.
"""

import json
import logging
import os
import re
import shutil
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from huggingface_hub import constants
from huggingface_hub.utils import WeakFileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from phi3v.inference.checkpoint_files import find_revision, gigabytes
from phi3v.inference.quantization import bytes_per_weight, is_quantized
from phi3v.inference.quantized_linear import Backend, convert_weight
from phi3v.request import RequestError

logger = logging.getLogger(__name__)

# Counts up when what a copy holds changes.
FORMAT = 1
MANIFEST = "manifest.json"
OTHERS = "others"
LAYER = re.compile(r"model\.layers\.(\d+)\.")
LOCK_SECONDS = 3600  # another process may be converting the same checkpoint
# A converted tensor's names: the weight's own, and this for its scales.
SCALES = ".scales"


@dataclass(frozen=True)
class Weights:
    """How a copy stores weights: quantize is "8bit" or "4bit", dtype that of all other tensors."""

    quantize: str
    backend: Backend
    dtype: torch.dtype


def find_copy(folder: Path, weights: Weights) -> Path:
    """Return the folder of a checkpoint's copy, after making it where there is no whole one.

    Raises RequestError where the disk has no room for it.
    """
    copy = name_copy(folder, weights)
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(copy.with_name(f"{copy.name}.lock"), timeout=LOCK_SECONDS):
            if is_whole(copy):
                return copy
            if copy.exists():
                logger.warning("%s is incomplete and is made anew.", copy)
            write_copy(folder, weights, copy)
    except OSError as error:
        raise RequestError(
            "The copy with weights in {quantize} cannot be written to {place}: {reason}. Set "
            "HF_HOME to a folder that can be written.",
            quantize=weights.quantize,
            place=copy.parent,
            reason=error.strerror or error,
        ) from error
    return copy


def name_copy(folder: Path, weights: Weights) -> Path:
    """Return the folder in which a copy belongs: its name is all that its contents depend on."""
    parts = [
        find_revision(folder),
        weights.quantize,
        f"{weights.backend}-{version(weights.backend)}",
        str(weights.dtype).removeprefix("torch."),
        str(FORMAT),
    ]
    return Path(constants.HF_HOME) / "phi3v-quantized" / "_".join(parts)


def is_whole(copy: Path) -> bool:
    """True if a copy has all files of its manifest, each whole."""
    try:
        sizes = json.loads((copy / MANIFEST).read_text())
        if sizes.keys() != {file.name for file in copy.glob("*.safetensors")}:
            return False
        for name, size in sizes.items():
            if (copy / name).stat().st_size != size:
                return False
            with safe_open(copy / name, framework="pt"):
                pass
    except (OSError, ValueError, AttributeError, SafetensorError):
        return False
    return True


def write_copy(folder: Path, weights: Weights, copy: Path) -> None:
    """Convert a checkpoint into a folder beside `copy`, and give it that name once it is whole."""
    partial = copy.with_name(f"{copy.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        groups = group_tensors(folder)
        check_room(folder, weights, copy.parent)
        logger.info("Converting %s to %s once, for later starts.", folder.name, weights.quantize)
        sizes = {}
        for number, (group, sources) in enumerate(groups.items(), start=1):
            file = partial / f"{group}.safetensors"
            save_file(convert_group(sources, weights), file)
            flush_to_disk(file)
            sizes[file.name] = file.stat().st_size
            if number % 8 == 0 or number == len(groups):
                logger.info("Converted %d of %d parts.", number, len(groups))
        (partial / MANIFEST).write_text(json.dumps(sizes))
        flush_to_disk(partial / MANIFEST)
        shutil.rmtree(copy, ignore_errors=True)
        partial.rename(copy)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def group_tensors(folder: Path) -> dict[str, dict[str, Path]]:
    """Return the files of a checkpoint's tensors by name, grouped by decoder layer."""
    groups: dict[str, dict[str, Path]] = defaultdict(dict)
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is no dict)
                layer = LAYER.match(name)
                groups[f"layer-{int(layer[1]):02d}" if layer else OTHERS][name] = file
    return dict(sorted(groups.items()))


def convert_group(sources: dict[str, Path], weights: Weights) -> dict[str, torch.Tensor]:
    """Return the tensors of a group, the decoder's weights converted.

    Each file is opened anew, so that the pages read before do not stay in memory.
    """
    converted = {}
    for name, file in sources.items():
        with safe_open(file, framework="pt") as tensors:
            tensor = tensors.get_tensor(name)
        if is_quantized(name):
            parts = convert_weight(tensor, weights.quantize, weights.backend)
            converted[name], converted[name + SCALES] = parts["weight"], parts["scales"]
        else:
            converted[name] = tensor.to(weights.dtype, copy=True)
    return converted


def check_room(folder: Path, weights: Weights, place: Path) -> None:
    """Raise RequestError if the disk has less room than the copy needs."""
    needed = count_bytes(folder, weights.dtype, weights.quantize)
    free = shutil.disk_usage(place).free
    if needed > free:
        raise RequestError(
            "The copy with weights in {quantize} needs {needed} on the disk and {place} has {free} "
            "free. Make room, or set HF_HOME to a folder on another disk.",
            quantize=weights.quantize,
            needed=gigabytes(needed),
            place=place,
            free=gigabytes(free),
        )


def count_bytes(folder: Path, dtype: torch.dtype, quantize: str) -> int:
    """Return the bytes that a checkpoint's tensors take in a number format and quantization."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is no dict)
                count = torch.Size(tensors.get_slice(name).get_shape()).numel()
                total += int(count * bytes_per_weight(name, dtype, quantize, "cpu"))
    return total


def flush_to_disk(file: Path) -> None:
    """Wait until a file is on the disk: a rename may otherwise outlive it in a power cut."""
    with file.open("rb") as content:
        os.fsync(content.fileno())
