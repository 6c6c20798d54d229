"""The README's screenshots can be taken again, and none is missing."""

import runpy
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

ASSETS = Path(__file__).parents[2] / "assets"


def test_every_tab_is_taken_in_every_look(browser: Browser, tmp_path: Path) -> None:
    script = runpy.run_path(str(ASSETS / "take_screenshot.py"))
    script["take_all"](browser, tmp_path)
    taken = {path.name: Image.open(path) for path in tmp_path.iterdir()}
    assert set(taken) == {path.name for path in (ASSETS / "screenshots").iterdir()}
    widths = script["WIDTHS"]
    for name, image in taken.items():
        assert image.width == widths[name.split("-")[1]]
