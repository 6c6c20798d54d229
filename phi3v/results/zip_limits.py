"""Bounds of an untrusted zip file, checked in its directory before anything is unpacked.

Knows zip files; must not know what their entries are.
"""

import struct
import zipfile
from typing import BinaryIO, Final

# The longest end of a zip file: its end record with the longest comment.
MAX_END: Final = 22 + 65535
# Each entry takes 46 bytes and its name there: enough for a thousand.
MAX_DIRECTORY_BYTES: Final = 2**20
MAX_ENTRIES: Final = 256
MAX_UNPACKED_BYTES: Final = 2**30
# Text that repeats itself may shrink a hundredfold; pictures hardly shrink at all.
MAX_RATIO: Final = 200
# Where the ratio is of no matter, in bytes.
SMALL: Final = 2**20
METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def check_directory(file: BinaryIO, size: int) -> None:
    """Raise BadZipFile for a zip of `size` bytes whose directory is too long to be read.

    zipfile makes an object of each entry when it opens a file, and a file of some MB can have a
    million of them.
    """
    file.seek(max(0, size - MAX_END))
    end = file.read(MAX_END)
    file.seek(0)
    at = end.rfind(b"PK\x05\x06")
    if at < 0 or len(end) < at + 22:
        raise zipfile.BadZipFile("no end record")
    (length,) = struct.unpack_from("<I", end, at + 12)
    # The directories of files over 4 GB, which zipfile prefers where it finds one.
    is_large = end[max(0, at - 20) : at].startswith(b"PK\x06\x07")
    if length > MAX_DIRECTORY_BYTES or is_large:
        raise zipfile.BadZipFile("the directory is too long")


def check_entries(archive: zipfile.ZipFile) -> None:
    """Raise BadZipFile if unpacking an open zip could take much time or memory."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise zipfile.BadZipFile("too many entries")
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise zipfile.BadZipFile("too much to unpack")
    for entry in entries:
        is_bomb = entry.file_size > max(SMALL, MAX_RATIO * entry.compress_size)
        if is_bomb or entry.compress_type not in METHODS:
            raise zipfile.BadZipFile("an entry is packed too tightly, or in another way")
