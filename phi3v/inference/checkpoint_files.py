"""Finds, downloads and identifies a checkpoint's files; loads nothing and needs no torch."""

import hashlib
import shutil
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx

from phi3v.conversation.checkpoint_processor import EMBEDDED
from phi3v.request import RequestError

# In the package once it is installed, beside it in a clone.
ASSETS = next(folder for parent in Path(__file__).parents if (folder := parent / "assets").is_dir())
EMBEDDED_FOLDER = ASSETS / "embedded"
PUBLISHED = "microsoft/Phi-3-vision-128k-instruct"

# 4,146,621,440 parameters of two bytes each (counted in the published files' headers).
PUBLISHED_BYTES = 8_293_242_880

PROCESSOR_FILES = ["*.json"]
FILES = [*PROCESSOR_FILES, "*.safetensors"]  # no pickles, and no code

FINGERPRINT_BYTES = 2**20


def find_checkpoint(name: str) -> Path:
    """Return a checkpoint's folder, after downloading a hub id's files that are not cached."""
    return find_folder(name) or find_files(name, FILES)


def find_processor_files(name: str) -> Path:
    """Return the folder of a checkpoint's JSON files, downloading a hub id's; never its weights."""
    return find_folder(name, needs_weights=False) or find_files(name, PROCESSOR_FILES)


def find_folder(name: str, needs_weights: bool = True) -> Path | None:
    """Return the folder of that name, None for a hub id. Raises RequestError for neither."""
    folder = EMBEDDED_FOLDER if name == EMBEDDED else Path(name).expanduser()
    if folder.is_dir():
        if needs_weights and not any(folder.glob("*.safetensors")):
            raise RequestError(
                f"{folder} holds no .safetensors file; only that format is loaded, because "
                "pickled weights can run code. Name a folder that has config.json and weights."
            )
        return folder
    if name == EMBEDDED or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise RequestError(
            f"There is no checkpoint folder {name!r}; name an existing folder, a hub id such as "
            f"{PUBLISHED}, or {EMBEDDED}."
        )
    return None


def find_revision(folder: Path) -> str:
    """Return a checkpoint's revision: the hub's commit, or a fingerprint of a folder's files.

    A large file counts with its size, beginning and end: other weights differ there too.
    """
    if folder.parent.name == "snapshots":
        return folder.name
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        size = file.stat().st_size
        with file.open("rb") as content:
            digest.update(f"{file.name} {size} ".encode() + content.read(FINGERPRINT_BYTES))
            content.seek(max(0, size - FINGERPRINT_BYTES))
            digest.update(content.read())
    return digest.hexdigest()[:40]


@lru_cache(maxsize=4)
def find_revision_of(name: str) -> str:
    """Return a checkpoint's revision, "" if its files are not found; cached, as files are read."""
    try:
        return find_revision(find_checkpoint(name))
    except RequestError:
        return ""


def find_files(hub_id: str, patterns: list[str]) -> Path:
    """Download a hub id's missing files, if the disk has room, and return the cached folder."""
    try:
        files = snapshot_download(hub_id, allow_patterns=patterns, dry_run=True)
        missing = sum(file.file_size or 0 for file in files if file.will_download)
        check_disk(hub_id, missing)
        return Path(snapshot_download(hub_id, allow_patterns=patterns))
    except (httpx.TransportError, OfflineModeIsEnabled, LocalEntryNotFoundError):
        return find_in_cache(hub_id, patterns)
    except HfHubHTTPError as error:
        raise RequestError(
            "The hub does not give {hub_id}: {error}. Check the name, and log in with "
            "`hf auth login` if the checkpoint asks for it.",
            hub_id=hub_id,
            error=error,
        ) from error


def find_in_cache(hub_id: str, patterns: list[str] = FILES) -> Path:
    """Return the cached folder of a hub id. Raises RequestError if not all of it is cached."""
    with suppress(LocalEntryNotFoundError):
        folder = Path(snapshot_download(hub_id, allow_patterns=patterns, local_files_only=True))
        # A page in front of servers has cached the JSON files alone.
        if any(folder.glob("*.safetensors" if patterns == FILES else "config.json")):
            return folder
    if patterns == PROCESSOR_FILES:
        raise RequestError(
            "The JSON files of {hub_id} are not in the cache and the hub cannot be reached. "
            "Connect once to download them (2 MB, no weights), or name a folder that holds them "
            "with --model.",
            hub_id=hub_id,
        )
    raise RequestError(
        "{hub_id} is not in the cache and the hub cannot be reached. Connect once to "
        "download it ({size} for the published checkpoints), name a folder that holds it, or "
        "use --model {embedded}, which needs no network.",
        hub_id=hub_id,
        size=gigabytes(PUBLISHED_BYTES),
        embedded=EMBEDDED,
    )


def check_disk(hub_id: str, needed: int) -> None:
    """Raise RequestError if the hub's cache has less room than a download needs."""
    cache = Path(constants.HF_HUB_CACHE)
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise RequestError(
            "{hub_id} needs {needed} on the disk and {existing} has {free} free. Make room, or set "
            "HF_HOME to a folder on another disk.",
            hub_id=hub_id,
            needed=gigabytes(needed),
            existing=existing,
            free=gigabytes(free),
        )


def gigabytes(count: int) -> str:
    """Format a number of bytes: 8,293,242,880 is "8.3 GB"."""
    return f"{count / 1e9:.1f} GB"
