"""The two lists of requirements agree, and a wheel has all that an installed phi3v needs."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from support.golden import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read_requirements(name: str) -> set[str]:
    lines = (ROOT / name).read_text().splitlines()
    return {line for line in lines if line and not line.startswith(("#", "-r"))}


def test_requirements_txt_and_pyproject_say_the_same() -> None:
    assert set(PROJECT["dependencies"]) == read_requirements("requirements.txt")


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        ("quantize", "requirements-quantize.txt"),
        ("adapters", "requirements-adapters.txt"),
        ("mcp", "requirements-mcp.txt"),
        ("train", "requirements-training.txt"),
        ("dev", "requirements-dev.txt"),
    ],
)
def test_an_extra_and_its_file_say_the_same(extra: str, name: str) -> None:
    listed = set(PROJECT["optional-dependencies"][extra]) - {"phi3v[adapters]", "phi3v[mcp]"}
    assert listed == read_requirements(name)


def test_flash_attn_is_installed_apart() -> None:
    extras = PROJECT["optional-dependencies"].values()
    assert not any("flash" in line for extra in extras for line in extra)
    (line,) = read_requirements("requirements-flash-attn.txt")
    assert line.startswith("flash-attn>=")


def test_the_wheel_holds_the_checkpoint_the_examples_and_the_languages(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    embedded = {file.name for file in (ROOT / "assets" / "embedded").iterdir()}
    assert {f"phi3v/assets/embedded/{name}" for name in embedded} <= names
    examples = {file.name for file in (ROOT / "assets" / "examples").iterdir()}
    assert {f"phi3v/assets/examples/{name}" for name in examples} <= names
    sources = {str(file.relative_to(ROOT)) for file in (ROOT / "phi3v").rglob("*.py*")}
    assert {name for name in sources if "__pycache__" not in name} <= names
    assert {"phi3v/ui/i18n/catalogs/he.toml", "phi3v/ui/i18n/catalogs/fa.toml"} <= names
