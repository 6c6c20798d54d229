"""The layout: imports point down, heavy libraries load late, and files stay readable."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.golden import ROOT

PACKAGE = ROOT / "phi3v"
TOP = {"__init__", "__main__", "request", "settings", "tasks", "translatable"}
MAX_LINES = 320

# What must not wait for torch: all that the page and the command line consist of, and below.
LIGHT = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("cli", "comparison", "conversation", "documents", "remote", "results", "ui")
    for file in sorted((PACKAGE / folder).rglob("*.py"))
] + [f"phi3v.{name}" for name in sorted(TOP - {"__init__", "__main__"})]


def run(code: str) -> str:
    """The output of Python code in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_imports_point_down() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_only_what_all_share_is_at_the_top() -> None:
    assert {file.stem for file in PACKAGE.glob("*.py")} == TOP


def test_no_file_is_too_long_to_read() -> None:
    lengths = {str(file): len(file.read_text().splitlines()) for file in PACKAGE.rglob("*.py")}
    assert [file for file, length in lengths.items() if length > MAX_LINES] == []


def test_every_package_says_what_it_is_for() -> None:
    for file in PACKAGE.rglob("__init__.py"):
        assert file.read_text().startswith('"""'), file


def test_pages_and_commands_load_without_torch() -> None:
    imports = "".join(f"import {name}\n" for name in LIGHT)
    check = "import sys; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    assert run(imports + check).strip() == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["ocr", "--help"], ["serve", "--help"]])
def test_help_loads_without_torch(arguments: list[str]) -> None:
    code = f"""
import contextlib, runpy, sys
sys.argv = ["phi3v", *{arguments!r}]
with contextlib.suppress(SystemExit):
    runpy.run_module("phi3v", run_name="__main__")
print({{"torch", "transformers", "gradio", "numpy"}} & set(sys.modules))
"""
    assert run(code).strip().endswith("set()")


REGISTERED = """
from transformers import AutoConfig
assert type(AutoConfig.for_model("phi3_v")) is phi3v.Phi3VConfig
from transformers import AutoImageProcessor, AutoModelForCausalLM, AutoProcessor
assert phi3v.Phi3VConfig in AutoModelForCausalLM._model_mapping
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import phi3v",
        "from transformers import AutoProcessor\nimport phi3v",
        "import phi3v\nfrom transformers import AutoModelForCausalLM",
        "import phi3v\nfrom phi3v import Phi3VForCausalLM",
        "import phi3v.conversation, phi3v\nfrom phi3v import load",
    ],
)
def test_importing_phi3v_registers_it_whatever_comes_first(imports: str) -> None:
    run(imports + REGISTERED)


def test_names_of_the_packages_are_there() -> None:
    code = """
import importlib
for package in ("", ".comparison", ".conversation", ".documents", ".inference", ".model",
                ".remote", ".results", ".ui"):
    module = importlib.import_module("phi3v" + package)
    for name in module.__all__:
        getattr(module, name)
    assert set(module.__all__) <= set(dir(module))
"""
    run(code)
