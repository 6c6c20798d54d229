"""Fixtures shared by the tests: golden vectors, small networks, published files, the page."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(GOLDEN))

import make_images  # noqa: E402
import make_weights  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

from phi3v import (  # noqa: E402
    Phi3VConfig,
    Phi3VForCausalLM,
    Phi3VImageProcessor,
    Phi3VProcessor,
)
from phi3v.checkpoint import EMBEDDED_FOLDER  # noqa: E402

if TYPE_CHECKING:
    from fake_engine import FakeEngine
    from playwright.sync_api import Browser, Page

# The published JSON files (config, preprocessor, tokenizer) are not part of the project; a test
# that compares with them is skipped where they are absent.
PUBLISHED = Path(
    os.environ.get(
        "PHI3V_PUBLISHED_FILES",
        Path(__file__).parents[2] / "shared" / "reference" / "checkpoints",
    )
)
PUBLISHED_NAMES = ("phi-3-vision-128k-instruct", "phi-3.5-vision-instruct")


@pytest.fixture(scope="session", params=PUBLISHED_NAMES)
def published(request) -> Path:
    """The folder of one published checkpoint's JSON files; once for each of the two."""
    return published_folder(request.param)


def published_folder(name: str) -> Path:
    folder = PUBLISHED / name
    if not folder.is_dir():
        pytest.skip(f"the published files of {name} are not here; set PHI3V_PUBLISHED_FILES")
    return folder


def golden_json(name: str) -> dict:
    return json.loads((GOLDEN / name).read_text())


def golden_image(w: int, h: int, mode: str = "RGB", kind: str = "pat") -> Image.Image:
    return make_images.make(w, h, mode, kind)


@pytest.fixture(scope="session")
def golden_weights() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in make_weights.make().items()}


@pytest.fixture(scope="session")
def golden_vectors() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "model.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory, golden_weights):
    """A function: the folder of the tiny checkpoint in the published format, by config name."""
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


def build_processor() -> Phi3VProcessor:
    """The embedded checkpoint's tokenizer with the published image settings."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(EMBEDDED_FOLDER)
    return Phi3VProcessor(Phi3VImageProcessor(), tokenizer)


def build_random_network(processor: Phi3VProcessor, seed: int, **settings) -> Phi3VForCausalLM:
    """A small network of random weights; it hardly ever ends an answer by itself."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    vision = {**sizes, "num_hidden_layers": 2, "image_size": 336, "patch_size": 14}
    config = Phi3VConfig(
        **sizes,
        num_hidden_layers=2,
        num_key_value_heads=2,
        vocab_size=len(processor.tokenizer),
        pad_token_id=processor.tokenizer.pad_token_id,
        image_token_id=processor.image_token_id,
        rope_scaling={"type": "su", "short_factor": [1.0] * 8, "long_factor": [3.0] * 8},
        vision_config=vision,
        **settings,
    )
    return Phi3VForCausalLM(config).eval()


class WrappedNetwork:
    """A network but for what a subclass does otherwise."""

    def __init__(self, network: Phi3VForCausalLM) -> None:
        self.network = network

    def __getattr__(self, name):
        return getattr(self.network, name)

    def eval(self):
        return self


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the page would have shown as warnings."""
    import gradio as gr

    shown: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda text, **_: shown.append(text))
    return shown


# The page in a real browser. The modules are imported where they are needed: most tests need none.


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A headless Chromium. For a module only: while it runs, asyncio.run refuses to."""
    from browsing import start_browser

    yield from start_browser()


@pytest.fixture(scope="module")
def engine() -> "FakeEngine":
    from fake_engine import FakeEngine

    return FakeEngine()


@pytest.fixture(scope="module")
def url(engine) -> Iterator[str]:
    """The address of the page that the engine answers in; uploads may have 1 MB."""
    from serving import serve

    from phi3v.settings import Settings

    with serve(engine, Settings(upload_limit=1)) as address:
        yield address


@pytest.fixture
def code() -> str:
    """The language of the page; see browsing.EVERYWHERE."""
    return "en"


@pytest.fixture
def width() -> int:
    return 1400


@pytest.fixture
def visit(browser: "Browser", url: str, code: str, width: int) -> "Iterator[Callable[[], Page]]":
    """Opens the page for one more user; all leave when the test ends."""
    from browsing import open_page

    pages: list[Page] = []

    def open_one() -> "Page":
        view = {"width": width, "height": 1000}
        pages.append(browser.new_page(viewport=view, locale=code))
        open_page(pages[-1], url)
        return pages[-1]

    yield open_one
    for page in pages:
        page.close()


@pytest.fixture
def page(visit: "Callable[[], Page]") -> "Page":
    return visit()


@pytest.fixture
def red(tmp_path: Path) -> Path:
    from browsing import draw

    return draw(tmp_path / "red.png", (40, 30), "red")


@pytest.fixture
def blue(tmp_path: Path) -> Path:
    from browsing import draw

    return draw(tmp_path / "blue.png", (60, 50), "blue")
