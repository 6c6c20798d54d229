"""Fixtures shared by all tests: golden vectors, tiny checkpoints, published files, a web site."""

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from golden import make_weights
from support.golden import GOLDEN, PUBLISHED_NAMES, golden_json, published_folder

# For this process alone: a server that ends deletes its uploads, and equal ones of other processes
# are the same files.
os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="phi3v-tests-")
atexit.register(shutil.rmtree, os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)

if TYPE_CHECKING:
    import torch


@pytest.fixture(scope="session", params=PUBLISHED_NAMES)
def published(request) -> Path:
    """The folder of a published checkpoint's JSON files; runs the test once for each of the two."""
    return published_folder(request.param)


@pytest.fixture(scope="session")
def golden_weights() -> "dict[str, torch.Tensor]":
    import torch

    return {name: torch.from_numpy(array) for name, array in make_weights.make().items()}


@pytest.fixture(scope="session")
def golden_vectors() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "model.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory, golden_weights):
    """A function: config name to the folder of a tiny checkpoint in the published format."""
    from safetensors.torch import save_file

    cases = golden_json("model_cases.json")
    root = tmp_path_factory.mktemp("tiny")

    def folder_of(config_name: str) -> Path:
        folder = root / config_name
        if not folder.exists():
            folder.mkdir()
            config = {**cases["configs"][config_name], "vision_config": cases["clip_config"]}
            (folder / "config.json").write_text(json.dumps(config))
            save_file(golden_weights, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return folder_of


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the warnings that the page would have shown."""
    import gradio as gr

    shown: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda text, **_: shown.append(text))
    return shown


@pytest.fixture(scope="module")
def site_port() -> Iterator[int]:
    """The port of a local web site with a picture and bad responses; see support.sites."""
    from support.sites import serve_site

    with serve_site() as port:
        yield port


SELECTED_ONLY = ("gpu", "weights")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that need a GPU or published weights, unless `-m` asks for them."""
    chosen = config.option.markexpr
    for item in items:
        for name in SELECTED_ONLY:
            if name not in chosen and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=f"run with `pytest -m {name}`"))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One process for what fills a GPU or loads 8 GB."""
    return 1 if any(name in config.option.markexpr for name in SELECTED_ONLY) else None
