"""Requirements of a hosted Space, and the start of app.py on any machine."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from support.serving import find_free_port, wait_for_page

from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER

ROOT = Path(__file__).parents[2]

needs_embedded = pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "config.json").exists(),
    reason="the embedded checkpoint is not here; see training/",
)


def read_space() -> dict:
    return yaml.safe_load((ROOT / ".huggingface.yaml").read_text())


def read_requirements(name: str) -> list[str]:
    lines = (ROOT / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r"))]


def test_readme_and_huggingface_yaml_say_the_same() -> None:
    _, front_matter, _ = (ROOT / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front_matter) == read_space()


def test_a_space_runs_app_py_with_the_gradio_that_is_required() -> None:
    space = read_space()
    assert (space["sdk"], space["app_file"]) == ("gradio", "app.py")
    (required,) = [line for line in read_requirements("requirements.txt") if "gradio" in line]
    least = re.search(r">=([\d.]+)", required)[1]
    assert space["sdk_version"].startswith(least)


def test_a_space_takes_a_pytorch_that_zerogpu_offers() -> None:
    minor = read_space()["python_version"].rpartition(".")[0]
    line = f'torch>=2.8,<2.12; python_version == "{minor}" and sys_platform != "darwin"'
    assert line in read_requirements("requirements.txt")


@pytest.mark.parametrize(
    "name",
    [
        f"requirements{kind}.txt"
        for kind in ("", "-adapters", "-dev", "-flash-attn", "-mcp", "-quantize")
    ],
)
def test_every_requirement_has_an_upper_bound(name: str) -> None:
    assert [line for line in read_requirements(name) if "<" not in line] == []


def test_spaces_is_imported_before_anything_that_imports_torch() -> None:
    tree = ast.parse((ROOT / "app.py").read_text())
    order = sorted(
        (node.lineno, name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [node.names[0].name])
    )
    foreign = [name for _, name in order if name not in sys.stdlib_module_names]
    assert foreign[0] == "spaces"


@contextmanager
def run_app(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """Run app.py in a subprocess; yield the process and the page's URL."""
    port = find_free_port()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PHI3V_")
    }
    process = subprocess.Popen(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env=environment | {"PHI3V_PORT": str(port), "GRADIO_SERVER_PORT": str(port)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def served_models(url: str) -> list[str]:
    """Return what /v1 lists: it is served in whatever way the app is started."""
    return [model["id"] for model in httpx.get(f"{url}/v1/models", timeout=30).json()["data"]]


@needs_embedded
def test_the_page_is_served_soon_and_in_little_memory() -> None:
    with run_app("--model", "embedded") as (process, url):
        # The target is 15 s on an idle machine; the test allows twice that for a busy one.
        assert wait_for_page(url, seconds=30).status_code == 200
        assert served_models(url) == ["embedded"]
        assert psutil.Process(process.pid).memory_info().rss < 1.5e9


@pytest.mark.skipif(util.find_spec("mcp") is not None, reason="the package mcp is installed")
def test_mcp_without_its_package_is_reported_in_one_line() -> None:
    with run_app("--mcp", "--model", "embedded") as (process, _):
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "pip install -r requirements-mcp.txt" in output
    assert "Traceback" not in output


@needs_embedded
def test_on_a_space_the_page_is_served_too() -> None:
    with run_app(SPACE_ID="someone/phi3v", PHI3V_MODEL="embedded") as (_, url):
        assert wait_for_page(url, seconds=60).status_code == 200
        assert served_models(url) == ["embedded"]


def test_an_unknown_checkpoint_is_reported_in_one_line() -> None:
    with run_app("--model", "./nowhere") as (process, _):
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "app.py: There is no checkpoint folder './nowhere'" in output
    assert "Traceback" not in output


def test_help_lists_the_options() -> None:
    with run_app("--help") as (process, _):
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "--max-new-tokens" in output


def test_help_imports_nothing_that_takes_long() -> None:
    output = subprocess.run(
        [sys.executable, "-X", "importtime", "app.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    imported = {line.rpartition("|")[2].strip() for line in output.splitlines()}
    assert "pydantic" in imported
    assert imported.isdisjoint({"torch", "gradio", "transformers", "numpy"})
