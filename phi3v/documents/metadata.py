"""An uploaded picture's file without what it tells besides the picture: place, time, camera, text.

The pixels stay as they are, to the last bit: only the parts of the file that hold metadata go. The
orientation stays, and the colour profile, because they say how the pixels are meant. Knows JPEG,
PNG and WebP, the formats that cameras and telephones write and that the page keeps as they came.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Final
from uuid import uuid4

from PIL import Image

ORIENTATION: Final = 0x0112  # the EXIF tag
# JPEG: APP1 (EXIF, XMP), APP3 to APP13 (makers' data, IPTC), APP15, and comments. APP0 is the
# header, APP2 the colour profile, APP14 says how colours are stored.
JPEG_METADATA: Final = {0xE1, *range(0xE3, 0xEE), 0xEF, 0xFE}
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
PNG_START: Final = b"\x89PNG\r\n\x1a\n"
PNG_METADATA: Final = {b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME"}
WEBP_METADATA: Final = {b"EXIF", b"XMP "}
EXIF_START: Final = b"Exif\0\0"


def strip_file(path: Path) -> bool:
    """Take the metadata out of a picture's file, in place; False where that cannot be done.

    A file of another format, or one whose parts make no sense, is left as it is.
    """
    content = path.read_bytes()
    try:
        stripped = strip_bytes(content)
    except (struct.error, IndexError, ValueError):
        return False
    if stripped is None:
        return False
    if stripped != content:
        part = path.with_name(f"{path.name}.{uuid4().hex}")
        part.write_bytes(stripped)
        os.replace(part, path)  # whoever has it open reads on in the old one
    return True


def strip_bytes(content: bytes) -> bytes | None:
    """The bytes of a picture's file without metadata; None for those of another format."""
    if content.startswith(b"\xff\xd8"):
        return strip_jpeg(content)
    if content.startswith(PNG_START):
        return strip_png(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return strip_webp(content)
    return None


def strip_jpeg(content: bytes) -> bytes:
    """A JPEG without metadata but its orientation; what follows its end (films, depth) goes too."""
    kept = bytearray(content[:2])
    at = 2
    while content[at + 1] not in (START_OF_SCAN, END_OF_IMAGE):
        if content[at] != 0xFF:
            raise ValueError("no marker where one must be")
        if content[at + 1] == 0xFF:  # fills
            at += 1
            continue
        end = at + 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]
        segment = content[at:end]
        if segment[4:10] == EXIF_START:
            if data := only_orientation(segment[4:]):
                data = EXIF_START + data
                kept += b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
        elif segment[1] not in JPEG_METADATA:
            kept += segment
        at = end
    return bytes(kept) + content[at:]


def only_orientation(exif: bytes) -> bytes:
    """EXIF that holds nothing but the orientation of this one; none for an upright picture."""
    found = Image.Exif()
    found.load(exif)
    orientation = found.get(ORIENTATION, 1)
    if orientation not in range(2, 9):
        return b""
    only = Image.Exif()
    only[ORIENTATION] = orientation
    return only.tobytes().removeprefix(EXIF_START)


def strip_png(content: bytes) -> bytes:
    """A PNG without texts, time and EXIF."""
    kept = bytearray(PNG_START)
    at = len(PNG_START)
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        end = at + 12 + length  # with its check sum
        if kind == b"eXIf" and (data := only_orientation(EXIF_START + content[at + 8 : end - 4])):
            check = struct.pack(">I", zlib.crc32(kind + data))
            kept += struct.pack(">I", len(data)) + kind + data + check
        elif kind not in PNG_METADATA:
            kept += content[at:end]
        at = end
    return bytes(kept)


def strip_webp(content: bytes) -> bytes:
    """A WebP without EXIF and XMP."""
    kept = bytearray(b"WEBP")  # VP8X may go on announcing what is gone: readers look for it
    at = 12
    while at < len(content):
        kind, length = struct.unpack("<4sI", content[at : at + 8])
        end = at + 8 + length + length % 2
        chunk = bytearray(content[at:end])
        data = b""
        if kind == b"EXIF":
            data = only_orientation(EXIF_START + chunk[8 : 8 + length].removeprefix(EXIF_START))
        if data:
            kept += kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        elif kind not in WEBP_METADATA:
            kept += chunk
        at = end
    return b"RIFF" + struct.pack("<I", len(kept)) + bytes(kept)
