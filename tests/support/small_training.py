"""Training settings of a model small enough for seconds, and the marker of tests that draw text."""

import pytest

from training.canvas import list_fonts
from training.settings import Config, Stage

SIZES = {"vision_width": 32, "vision_mlp": 64, "vision_layers": 3, "vision_heads": 2}
SIZES |= {"text_width": 32, "text_mlp": 64, "text_layers": 2, "text_heads": 2}
TOWER = Stage("tower", "tower", 6, 4, 0.02, 0.01, {"plain": 1.0}, cells=6, warmup=1)
ANSWERS = Stage("answers", "answers", 6, 2, 0.02, 0.01, {"shapes": 1.0}, warmup=1)
CONFIG = Config(3, SIZES, (TOWER, ANSWERS))

try:
    list_fonts()
    has_fonts = True
except FileNotFoundError:
    has_fonts = False
needs_fonts = pytest.mark.skipif(
    not has_fonts, reason="needs the fonts that requirements-training.txt names"
)
