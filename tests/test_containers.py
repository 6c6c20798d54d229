"""The containers' files fit the app: its files, flags and variables."""

import re
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml
from support.golden import ROOT

from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.settings import PREFIX, Settings, read_settings
from phi3v.tasks import EXAMPLES

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PAGES = [name for name in SERVICES if name.startswith("page")]


def read_stages() -> dict[str, tuple[str, str]]:
    """Return each stage of the Dockerfile: the one that it builds on, and its instructions."""
    found = re.findall(r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S)
    return {name: (base, body) for base, name, body in found}


def fill_in(text: str) -> str:
    """Return a value of compose.yaml with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def is_sent(path: str) -> bool:
    """True if a file is part of the build's context; .dockerignore's last line on it decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        folders = ["/".join(path.split("/")[:depth]) for depth in range(1, path.count("/") + 2)]
        names = folders + path.split("/") if line.startswith("**/") else folders
        if line and not line.startswith("#") and any(fnmatch(name, pattern) for name in names):
            sent = line.startswith("!")
    return sent


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_an_image_has_the_files_that_the_app_needs(target: str) -> None:
    _, body = read_stages()[target]
    copied = [line.split()[1:-1] for line in body.splitlines() if line.startswith("COPY")]
    sources = {source for sources in copied for source in sources}
    code = [path for path in (ROOT / "phi3v").rglob("*") if path.is_file()]
    data = [*EMBEDDED_FOLDER.rglob("*.json"), EMBEDDED_FOLDER / "model.safetensors"]
    needed = [ROOT / "app.py", *code, *data, *EXAMPLES.rglob("*.png")]
    for path in needed:
        name = path.relative_to(ROOT).as_posix()
        if "__pycache__" not in name:
            assert name.split("/")[0] in sources
            assert is_sent(name), name


def test_neither_the_repository_s_history_nor_its_tests_are_sent_to_the_build() -> None:
    for name in (
        ".git/config",
        ".env",
        "tests/conftest.py",
        "docs/usage.md",
        "phi3v/__pycache__/a",
    ):
        assert not is_sent(name), name


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_the_app_runs_without_rights_and_is_asked_for_its_health(target: str) -> None:
    stages = read_stages()
    body, name = "", target
    while name in stages:
        name, above = stages[name]
        body = above + body
    users = re.findall(r"^USER (\S+)", body, re.M)
    assert users[-1] == "1000:1000"
    assert "HEALTHCHECK" in body
    assert "ENTRYPOINT" in body
    assert re.fullmatch(r"python:3\.12\.\d+-slim-\w+", name)  # pinned, and what a Space has


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_started_with_flags_and_variables_that_it_has(name: str) -> None:
    if name == "page-servers" and "server" not in Settings.model_fields:
        pytest.skip("--server is not there yet")
    read_settings([fill_in(part) for part in SERVICES[name]["command"]])
    variables = SERVICES[name]["environment"]
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    assert set(variables) <= known
    assert [variable for variable, value in variables.items() if value is not None] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_built_from_a_target_and_published_on_this_machine_only(name: str) -> None:
    service = SERVICES[name]
    assert service["build"]["target"] in read_stages()
    assert service["image"] == f"phi3v:{service['build']['target']}"
    assert [fill_in(port) for port in service["ports"]] == ["127.0.0.1:7860:7860"]


def test_every_replica_has_an_address_and_a_gpu_of_its_own() -> None:
    replicas = [name for name in SERVICES if name.startswith("vllm")]
    (flag,) = [part for part in SERVICES["page-servers"]["command"] if "--server" in part]
    assert flag.partition("=")[2].split(",") == [f"http://{name}:8000" for name in replicas]
    gpus = [
        SERVICES[name]["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"]
        for name in replicas
    ]
    assert len({gpu for (gpu,) in gpus}) == len(replicas)
