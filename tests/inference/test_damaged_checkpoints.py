"""A checkpoint with damaged, missing or foreign files is refused in one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from phi3v.inference.checkpoint import load_checkpoint
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.request import RequestError

pytestmark = pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "config.json").exists(),
    reason="the embedded checkpoint is not here; see training/",
)
WEIGHTS, CONFIG = "model.safetensors", "config.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the embedded checkpoint."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in EMBEDDED_FOLDER.iterdir():
        if file.suffix in (".json", ".safetensors"):
            shutil.copy(file, copy)
    return copy


def rewrite(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    (folder / name).write_bytes(change((folder / name).read_bytes()))


def change_config(folder: Path, **values: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | values))


def change_weights(folder: Path, change: Callable[[dict], object]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def shorten(weights: dict) -> None:
    weights["model.norm.weight"] = weights["model.norm.weight"][:-1].contiguous()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut weights": lambda f: rewrite(f, WEIGHTS, lambda data: data[: len(data) // 2]),
    "weights without a header": lambda f: rewrite(f, WEIGHTS, lambda data: data[:4]),
    "empty weights": lambda f: rewrite(f, WEIGHTS, lambda data: b""),
    "a garbled header": lambda f: rewrite(f, WEIGHTS, lambda d: d[:9] + b"\xff" * 99 + d[108:]),
    "a header of all the file": lambda f: rewrite(f, WEIGHTS, lambda d: b"\xff" * 8 + d[8:]),
    "another shape": lambda f: change_weights(f, shorten),
    "a missing tensor": lambda f: change_weights(f, lambda w: w.pop("model.norm.weight")),
    "a config that is no JSON": lambda f: rewrite(f, CONFIG, lambda data: data[:-20]),
    "a config that is a list": lambda f: rewrite(f, CONFIG, lambda data: b"[]"),
    "an empty config": lambda f: rewrite(f, CONFIG, lambda data: b"{}"),
    "a missing config": lambda f: (f / CONFIG).unlink(),
    "another kind of model": lambda f: change_config(f, model_type="bert"),
    "an unknown kind of model": lambda f: change_config(f, model_type="no-such", auto_map={}),
    "a size that is a word": lambda f: change_config(f, hidden_size="many"),
    "a size of zero": lambda f: change_config(f, num_attention_heads=0),
    "a size below zero": lambda f: change_config(f, hidden_size=-4),
    "a missing tokenizer": lambda f: (f / "tokenizer.json").unlink(),
    "a garbled tokenizer": lambda f: rewrite(f, "tokenizer.json", lambda data: data[:500]),
    "a tokenizer of another kind": lambda f: rewrite(f, "tokenizer.json", lambda data: b"{}"),
    "a garbled processor": lambda f: rewrite(f, "preprocessor_config.json", lambda d: d[:9]),
    "weights that are a folder": lambda f: ((f / WEIGHTS).unlink(), (f / WEIGHTS).mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_it_is_refused_in_one_sentence(folder: Path, damage: Callable[[Path], object]) -> None:
    damage(folder)
    with pytest.raises(RequestError) as refusal:
        load_checkpoint(str(folder), device="cpu", dtype="float32")
    message = str(refusal.value)
    assert message.startswith("copy cannot be loaded: ")
    assert "\n" not in message
    assert len(message) < 400


def test_the_undamaged_copy_is_loaded(folder: Path) -> None:
    load_checkpoint(str(folder), device="cpu", dtype="float32")
