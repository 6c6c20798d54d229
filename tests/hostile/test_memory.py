"""Requests with huge pictures take bounded memory, and give it back."""

import json
import subprocess
import sys
from pathlib import Path

MEASURE = Path(__file__).with_name("measure_memory.py")


def test_huge_pictures_take_less_than_a_gigabyte_and_give_it_back(tmp_path: Path) -> None:
    command = [sys.executable, str(MEASURE), str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {line["name"]: line for line in map(json.loads, printed.splitlines())}
    assert "256,000,000 pixels together" in found["fourteen"]["said"]
    assert "cut.png is a damaged PNG" in found["damaged"]["said"]
    assert found["answered"]["said"] == "length"
    for line in found.values():
        assert line["more"] < 1e9, line
        assert line["kept"] < 1e8, line
