"""Finds the files of PEFT adapters, in a folder or on the hub, and refuses what is no safetensors.

Knows names and files; loads no weights.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from phi3v.inference.checkpoint_files import find_files
from phi3v.request import RequestError

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
# Some training scripts leave pickles beside or in place of it.
PICKLED = "*.bin"
INSTALL = "pip install 'peft>=0.21,<0.22' 'accelerate>=1.10,<2'"


@dataclass(frozen=True)
class AdapterPlace:
    """An adapter's name on the page and where its files are: a folder or a hub id."""

    name: str
    place: str


def name_adapters(given: tuple[str, ...]) -> tuple[AdapterPlace, ...]:
    """Return the adapters of --adapter flags, "name=place" or "place", whose last part is its name.

    Raises RequestError for an empty name or place, and for two adapters of one name.
    """
    places: list[AdapterPlace] = []
    for text in given:
        name, is_named, place = text.rpartition("=")
        name = name if is_named else Path(place.rstrip("/\\")).name
        if not name.strip() or not place.strip():
            raise RequestError(
                "--adapter {text!r} names no adapter: give a folder, a hub id, or name=folder.",
                text=text,
            )
        if name in [other.name for other in places]:
            raise RequestError(
                "Two adapters are called {name!r}: name them, --adapter first={place} for one.",
                name=name,
                place=place,
            )
        places.append(AdapterPlace(name.strip(), place.strip()))
    return tuple(places)


def check_adapters(places: tuple[AdapterPlace, ...]) -> None:
    """Raise RequestError where an adapter certainly cannot be loaded; downloads nothing."""
    if places and find_spec("peft") is None:
        raise RequestError("--adapter needs the package peft: `{install}`.", install=INSTALL)
    for adapter in places:
        folder = Path(adapter.place).expanduser()
        if folder.is_dir():
            check_folder(folder)
        elif adapter.place.count("/") != 1 or adapter.place.startswith((".", "/", "~")):
            raise RequestError(
                "There is no adapter folder {place!r}: name an existing folder or a hub id.",
                place=adapter.place,
            )


def find_adapter(place: str) -> Path:
    """Return an adapter's folder, after downloading a hub id's files that are not cached.

    Raises RequestError if it has no safetensors file, or pickled weights beside it.
    """
    folder = Path(place).expanduser()
    if not folder.is_dir():
        folder = find_files(place, [WEIGHTS, CONFIG])
    check_folder(folder)
    return folder


def check_folder(folder: Path) -> None:
    """Raise RequestError unless a folder has an adapter and no weights that are not loaded."""
    pickled = ", ".join(sorted(file.name for file in folder.glob(PICKLED)))
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if pickled and (WEIGHTS in missing or "non_lora" in pickled):
        raise RequestError(
            "{folder} holds weights in {files}, which are not loaded, because pickled weights can "
            "run code. Save the adapter with safe_serialization=True, and what was trained beside "
            "it with modules_to_save.",
            folder=folder,
            files=pickled,
        )
    if missing:
        raise RequestError(
            "{folder} holds no {missing}: name the folder that PEFT's save_pretrained has written.",
            folder=folder,
            missing=" and no ".join(missing),
        )
