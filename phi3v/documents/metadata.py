"""Removes metadata from image files without re-encoding: location, time, camera, text.

Drops the parts of a file that hold metadata and copies the others byte by byte, so pixels do not
change. Orientation and colour profile stay, because displaying the image needs them. Knows JPEG,
PNG and WebP, which cameras and phones write and the page stores unconverted; must not know the page
or decode pixels.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Final
from uuid import uuid4

from PIL import Image

ORIENTATION: Final = 0x0112  # the EXIF tag
# JPEG markers APP1 (EXIF, XMP), APP3 to APP13 (vendor data, IPTC), APP15 and COM (comments). Kept
# are APP0 (the JFIF header), APP2 (the colour profile) and APP14 (Adobe's colour transform).
JPEG_METADATA: Final = {0xE1, *range(0xE3, 0xEE), 0xEF, 0xFE}
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
PNG_START: Final = b"\x89PNG\r\n\x1a\n"
PNG_METADATA: Final = {b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME"}
WEBP_METADATA: Final = {b"EXIF", b"XMP "}
EXIF_START: Final = b"Exif\0\0"


def strip_file(path: Path) -> bool:
    """Remove the metadata from an image file in place; return False if that cannot be done.

    A file of another format, or of an invalid structure, is left unchanged.
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
        os.replace(part, path)  # readers with the old file open keep reading it
    return True


def strip_bytes(content: bytes) -> bytes | None:
    """Return an image file's bytes without metadata; None for other formats.

    Raises struct.error, IndexError or ValueError for an invalid structure.
    """
    if content.startswith(b"\xff\xd8"):
        return strip_jpeg(content)
    if content.startswith(PNG_START):
        return strip_png(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return strip_webp(content)
    return None


def strip_jpeg(content: bytes) -> bytes:
    """Return a JPEG without metadata segments, except for its orientation.

    Everything from the first scan on is copied, data after the image (videos, depth) included.
    """
    kept = bytearray(content[:2])
    at = 2
    while content[at + 1] not in (START_OF_SCAN, END_OF_IMAGE):
        if content[at] != 0xFF:
            raise ValueError("no marker where one must be")
        if content[at + 1] == 0xFF:  # a fill byte
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
    """Return EXIF data with the orientation of `exif` only; b"" for an upright image."""
    found = Image.Exif()
    found.load(exif)
    orientation = found.get(ORIENTATION, 1)
    if orientation not in range(2, 9):
        return b""
    only = Image.Exif()
    only[ORIENTATION] = orientation
    return only.tobytes().removeprefix(EXIF_START)


def strip_png(content: bytes) -> bytes:
    """Return a PNG without text, time and EXIF chunks, except for its orientation."""
    kept = bytearray(PNG_START)
    at = len(PNG_START)
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        end = at + 12 + length  # with its checksum
        if kind == b"eXIf" and (data := only_orientation(EXIF_START + content[at + 8 : end - 4])):
            check = struct.pack(">I", zlib.crc32(kind + data))
            kept += struct.pack(">I", len(data)) + kind + data + check
        elif kind not in PNG_METADATA:
            kept += content[at:end]
        at = end
    return bytes(kept)


def strip_webp(content: bytes) -> bytes:
    """Return a WebP without EXIF and XMP chunks, except for its orientation."""
    kept = bytearray(b"WEBP")  # VP8X may still flag removed chunks: readers cope with it
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
