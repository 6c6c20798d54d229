"""Removes metadata from image files without re-encoding: location, time, camera, text.

Copies the parts of a file that displaying it needs byte by byte, so pixels do not change, and
leaves out all others and whatever follows the picture's end. Orientation and colour profile stay.
Knows JPEG, PNG and WebP, which cameras and phones write and the page stores unconverted; must not
know the page or decode pixels.
"""

import io
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from PIL import Image

from phi3v.documents.orientation import (
    EXIF_START,
    PNG_START,
    UPRIGHT,
    find_orientation,
    find_png_orientation,
    make_chunk,
    write_exif,
)

# JPEG segments that displaying needs: APP0 (the JFIF header), APP14 (Adobe's colour transform),
# APP2 if it is a colour profile, and all that are neither APPn nor a comment.
START_OF_SCAN, END_OF_IMAGE, COMMENT = 0xDA, 0xD9, 0xFE
KEPT_APPS: Final = {0xE0, 0xEE}
APP2, PROFILE_START = 0xE2, b"ICC_PROFILE\0"
NO_LENGTH: Final = {0x01, *range(0xD0, 0xD8)}  # markers without data
# In a scan a byte 0xFF is followed by 0 or by a restart marker, at its end by another marker.
NEXT_MARKER: Final = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
PNG_KEPT: Final = {
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP",
    b"mDCV", b"cLLI", b"sBIT", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT",
}  # fmt: skip
WEBP_KEPT: Final = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
# Flags of a VP8X chunk: that the file has EXIF, and XMP.
HAS_EXIF, HAS_XMP = 0x08, 0x04
FORMATS: Final = ("JPEG", "PNG", "WEBP")


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

    Raises struct.error, IndexError or ValueError for an invalid structure, and where the result
    would not open like the original.
    """
    for start, strip in ((b"\xff\xd8", strip_jpeg), (PNG_START, strip_png), (b"RIFF", strip_webp)):
        if content.startswith(start):
            before = read_header(content)
            stripped = strip(content, before.orientation if before else UPRIGHT)
            if before and read_header(stripped) != before:
                raise ValueError("the stripped file would not open as before")
            return stripped
    return None


@dataclass(frozen=True)
class Header:
    """What opening an image file tells without decoding its pixels."""

    mode: str
    size: tuple[int, int]
    frames: int
    orientation: int


def read_header(content: bytes) -> Header | None:
    """Return an image file's header; None if it does not open."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            is_png = image.format == "PNG"
            # Of a JPEG only the first picture stays, so their number is none of its own.
            frames = 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)
            found = find_png_orientation(io.BytesIO(content)) if is_png else find_orientation(image)
            return Header(image.mode, image.size, frames, found)
    except Exception:  # decoders raise what broken bytes lead to
        return None


def strip_jpeg(content: bytes, orientation: int) -> bytes:
    """Return the first picture of a JPEG without metadata segments, except for its orientation."""
    kept = bytearray(content[:2])
    if orientation != UPRIGHT:
        data = EXIF_START + write_exif(orientation)
        kept += b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
    at = 2
    while (marker := content[at + 1]) != END_OF_IMAGE:
        if content[at] != 0xFF:
            raise ValueError("no marker where one must be")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2
        if marker not in NO_LENGTH:
            end += struct.unpack(">H", content[end : end + 2])[0]
        if is_shown_by(marker, content[at:end]):
            kept += content[at:end]
        at = end
        if marker == START_OF_SCAN:
            found = NEXT_MARKER.search(content, at)
            if found is None:
                raise ValueError("the picture has no end")
            kept += content[at : found.start()]
            at = found.start()
    return bytes(kept) + b"\xff\xd9"


def is_shown_by(marker: int, segment: bytes) -> bool:
    """True if displaying a JPEG needs this segment."""
    if marker == APP2:
        return segment[4:].startswith(PROFILE_START)
    is_app = marker in range(0xE0, 0xF0)
    return marker in KEPT_APPS or (not is_app and marker != COMMENT)


def strip_png(content: bytes, orientation: int) -> bytes:
    """Return a PNG of the chunks that displaying needs, and its orientation."""
    kept = bytearray(PNG_START)
    at = len(PNG_START)
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        end = at + 12 + length  # with its checksum
        if end > len(content):
            raise ValueError("a chunk breaks off")
        if kind in PNG_KEPT:
            kept += content[at:end]
        elif not kind[0] & 0x20:
            raise ValueError("an unknown chunk that the picture needs")
        if kind == b"IHDR" and orientation != UPRIGHT:
            kept += make_chunk(b"eXIf", write_exif(orientation))
        at = end
    return bytes(kept)


def strip_webp(content: bytes, orientation: int) -> bytes:
    """Return a WebP of the chunks that displaying needs, and its orientation."""
    end = 8 + struct.unpack("<I", content[4:8])[0]
    if content[8:12] != b"WEBP" or end > len(content):
        raise ValueError("no WebP, or one that breaks off")
    kept = bytearray(b"WEBP") + keep_chunks(content[12:end], WEBP_KEPT)
    if kept[4:8] == b"VP8X":
        kept[12] &= ~(HAS_EXIF | HAS_XMP)
        if orientation != UPRIGHT:
            kept[12] |= HAS_EXIF
            kept += make_riff_chunk(b"EXIF", write_exif(orientation))
    return b"RIFF" + struct.pack("<I", len(kept)) + bytes(kept)


def keep_chunks(content: bytes, kinds: set[bytes]) -> bytes:
    """Return the RIFF chunks of these kinds, in a frame of an animation also those inside it."""
    kept = bytearray()
    at = 0
    while at + 1 < len(content):  # one byte may be padding
        kind, length = struct.unpack("<4sI", content[at : at + 8])
        data = content[at + 8 : at + 8 + length]
        if len(data) != length:
            raise ValueError("a chunk breaks off")
        if kind == b"ANMF":
            data = data[:16] + keep_chunks(data[16:], kinds)  # after position, size and duration
        if kind in kinds:
            kept += make_riff_chunk(kind, data)
        at += 8 + length + length % 2
    return bytes(kept)


def make_riff_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a RIFF chunk with its length and padding."""
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
