"""Lists a folder: what is read of it, in natural order, and what is left out, by name and reason.

Must not know how files are opened.
"""

import mimetypes
import re
from pathlib import Path
from typing import Final

from phi3v.documents.formats import HEAD_BYTES, explain_unreadable, recognize
from phi3v.request import RequestError
from phi3v.translatable import Text

SYSTEM_FILES: Final = ("thumbs.db", "desktop.ini")


def list_folder(folder: Path) -> list[tuple[Path, Text | None]]:
    """Return a folder's entries in natural order (page2 before page10), and why some are left out.

    Hidden files are none of it, and folders inside it are left out. A picture by its name is none
    of those: opening it tells what is wrong. Raises RequestError if there is no picture and no PDF.
    """
    found = [
        (entry, explain_left_out(entry))
        for entry in sorted(folder.iterdir(), key=lambda entry: natural_key(entry.name))
        if not entry.name.startswith(".") and entry.name.lower() not in SYSTEM_FILES
    ]
    if all(reason is not None for _, reason in found):
        raise RequestError(
            "{folder} holds no picture and no PDF (folders inside it are not searched): name "
            "another folder, or the files themselves.",
            folder=folder,
        )
    return found


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names by the numbers in them, whatever their case."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def explain_left_out(entry: Path) -> Text | None:
    """Return why an entry of a folder is not read; None for what is, or cannot be looked into."""
    if entry.is_dir():
        return Text(
            "{name} is left out, as folders inside a folder are not searched: name it too.",
            name=entry.name,
        )
    kind = mimetypes.guess_type(entry.name)[0] or ""
    if not entry.is_file() or kind.startswith(("image/", "video/")) or kind == "application/pdf":
        return None
    try:
        with entry.open("rb") as file:
            if recognize(file.read(HEAD_BYTES), entry.name):
                return None
            return explain_unreadable(file, entry.name)
    except OSError:
        return None
