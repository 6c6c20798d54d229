"""transformers' own common tests: finds, downloads and loads them; nothing of them is committed.

They come from the source archive of the installed version, or from a checkout: from its `tests`
folder, which PHI3V_TRANSFORMERS_TESTS names. They are loaded as a package of another name than
`tests`, with stand-ins for what the archive lacks.
"""

import importlib
import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "phi3v"
VERSION = importlib.metadata.version("transformers")
PACKAGE = "transformers_common_tests"
CHECKOUT = os.environ.get("PHI3V_TRANSFORMERS_TESTS")
NO_CHECKOUT = (
    "the source archive ships no generation/; PHI3V_TRANSFORMERS_TESTS names a checkout's tests"
)


class ExportTesterMixin:
    """Stands in for a mixin that the source archive lacks."""


class GenerationTesterMixin:
    """Stands in for a mixin that the source archive lacks."""

    def test_generation_mixin(self):
        pytest.skip(NO_CHECKOUT)


def load(name: str) -> ModuleType:
    """Return the module of that name of transformers' tests; skip the caller's tests without them.

    Where CI is set they must be there: a failed download is an error.
    """
    if PACKAGE not in sys.modules:
        try:
            folder = Path(CHECKOUT) if CHECKOUT else find_archive_tests()
        except OSError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"transformers' tests: {error}", allow_module_level=True)
        install(folder)
    return importlib.import_module(f"{PACKAGE}.{name}")


def find_archive_tests() -> Path:
    """Return the folder of the tests in the cache, downloaded first if they are not there.

    Raises OSError where no index gives the archive.
    """
    folder = CACHE / f"transformers-{VERSION}" / "tests"
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries=1"]
        command += ["--no-binary", "transformers", "--dest", temporary, f"transformers=={VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or "pip gave no reason").splitlines()[-1]
            raise OSError(f"no index gives the source archive of {VERSION}: {last}")
        (archive,) = Path(temporary).glob("*.tar.gz")
        name = f"transformers-{VERSION}"
        with tarfile.open(archive) as source:
            tests = [file for file in source if file.name.startswith(f"{name}/tests/")]
            source.extractall(temporary, members=tests, filter="data")
        (Path(temporary) / name).rename(folder.parent)
    return folder


def install(folder: Path) -> None:
    """Make the folder importable as PACKAGE, with the stand-ins it needs."""
    package = ModuleType(PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules[PACKAGE] = package
    if not (folder / "generation").is_dir():
        stand_in(f"{PACKAGE}.generation", f"{PACKAGE}.generation.test_utils", GenerationTesterMixin)
        stand_in(f"{PACKAGE}.exporters", f"{PACKAGE}.exporters.test_export", ExportTesterMixin)
    hub = ModuleType("fetch_hub_objects_for_ci")
    hub.url_to_local_path = local_picture
    sys.modules["fetch_hub_objects_for_ci"] = hub


def stand_in(package: str, name: str, mixin: type) -> None:
    """Put a package with a module that holds one class where imports find them."""
    sys.modules[package] = ModuleType(package)
    sys.modules[package].__path__ = []
    sys.modules[name] = ModuleType(name)
    setattr(sys.modules[name], mixin.__name__, mixin)


def local_picture(url: str) -> str:
    """A picture of ours for each of the hub's; another address stays, and its test is skipped."""
    is_picture = url.endswith((".png", ".jpg"))
    return str(ROOT / "assets" / "examples" / "circle.png") if is_picture else url
