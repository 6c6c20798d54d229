"""Access to golden vectors, and to the published files if they are available."""

import json
import os
from pathlib import Path

import pytest
from golden import make_images
from PIL import Image

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"

# The published JSON files (config, preprocessor, tokenizer) are not part of the project; tests that
# need them are skipped without them.
PUBLISHED = Path(
    os.environ.get("PHI3V_PUBLISHED_FILES", ROOT.parent / "shared" / "reference" / "checkpoints")
)
PUBLISHED_NAMES = ("phi-3-vision-128k-instruct", "phi-3.5-vision-instruct")


def published_folder(name: str) -> Path:
    """Return the folder of a published checkpoint's JSON files; skip the test if it is missing."""
    folder = PUBLISHED / name
    if not folder.is_dir():
        pytest.skip(f"the published files of {name} are not here; set PHI3V_PUBLISHED_FILES")
    return folder


def golden_json(name: str) -> dict:
    return json.loads((GOLDEN / name).read_text())


def golden_image(w: int, h: int, mode: str = "RGB", kind: str = "pat") -> Image.Image:
    return make_images.make(w, h, mode, kind)
