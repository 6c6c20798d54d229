"""Finds how a picture must be turned to stand upright: by EXIF, XMP or a PNG's raw profiles.

The one place that decides it, so that a picture is measured, opened and stripped alike. Must not
know what is done with the picture.
"""

import io
import re
import struct
import zlib
from typing import BinaryIO, Final

from PIL import Image

ORIENTATION: Final = 0x0112  # the EXIF tag
UPRIGHT: Final = 1
METHODS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
EXIF_START: Final = b"Exif\0\0"
XMP_ORIENTATION: Final = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])")
PNG_START: Final = b"\x89PNG\r\n\x1a\n"
PNG_TEXT: Final = (b"tEXt", b"zTXt", b"iTXt")
# ImageMagick's names of the profiles that may hold an orientation; APP1 is either of the others.
RAW_PROFILES: Final = ("exif", "APP1", "app1", "xmp")
# Metadata beyond this is no orientation: a file of it would only take memory.
MAX_PROFILE_BYTES: Final = 2**20


def find_orientation(image: Image.Image) -> int:
    """Return an opened image's EXIF orientation, 1 (upright) to 8.

    Of a PNG, whose metadata may stand behind its pixels, they must have been loaded. The readers of
    TIFF, AVIF and HEIF turn the picture themselves.
    """
    if image.format in ("TIFF", "HEIF"):
        return UPRIGHT
    try:
        found = image.getexif().get(ORIENTATION)
    except Exception:  # of broken metadata Pillow raises what its bytes happen to lead to
        found = None
    if found not in range(1, 9) and image.format != "AVIF":
        found = next(filter(None, map(find_in_profile, list_profiles(image))), UPRIGHT)
    return int(found or UPRIGHT) if found in range(1, 9) else UPRIGHT


def list_profiles(image: Image.Image) -> list[bytes]:
    """Return an image's XMP packets and raw profiles."""
    profiles = [image.info.get("xmp"), image.info.get("XML:com.adobe.xmp")]
    profiles += [read_raw_profile(image, name) for name in RAW_PROFILES]
    return [
        profile.encode() if isinstance(profile, str) else profile
        for profile in profiles
        if profile and isinstance(profile, str | bytes)
    ]


def read_raw_profile(image: Image.Image, name: str) -> bytes:
    """Return a PNG's "Raw profile type" text decoded; b"" without one or with a broken one.

    It has a name, a length and hexadecimal digits, each on lines of their own.
    """
    text = image.info.get(f"Raw profile type {name}")
    if not isinstance(text, str):
        return b""
    try:
        return bytes.fromhex("".join(text.strip().split("\n")[2:]))
    except ValueError:
        return b""


def find_in_profile(profile: bytes) -> int | None:
    """Return the orientation in EXIF data or an XMP packet; None if it has none."""
    if profile.startswith((EXIF_START, b"II*\0", b"MM\0*")):
        return read_exif(profile)
    match = XMP_ORIENTATION.search(profile)
    return int(match[1]) if match else None


def read_exif(data: bytes) -> int | None:
    """Return the orientation in EXIF data; None if it has none or is broken."""
    exif = Image.Exif()
    try:
        exif.load(data)
        found = exif.get(ORIENTATION)
    except Exception:  # see find_orientation
        return None
    return found if found in range(1, 9) else None


def write_exif(orientation: int) -> bytes:
    """Return EXIF data, without its start marker, that holds an orientation only."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes().removeprefix(EXIF_START)


def find_png_orientation(file: BinaryIO) -> int:
    """Return a PNG's orientation without decoding its pixels; the stream is left at its start.

    Its metadata is put into a PNG of one pixel: Pillow reads what stands behind the pixels only
    with them.
    """
    small = [PNG_START]
    small.append(make_chunk(b"IHDR", struct.pack(">2I5B", 1, 1, 8, 0, 0, 0, 0)))
    file.seek(len(PNG_START))
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf" or kind in PNG_TEXT:
            if length <= MAX_PROFILE_BYTES:
                small.append(make_chunk(kind, file.read(length)))
                file.seek(4, 1)
                continue
        elif kind == b"IEND":
            break
        file.seek(length + 4, 1)
    file.seek(0)
    if len(small) == 2:
        return UPRIGHT
    small.append(make_chunk(b"IDAT", zlib.compress(b"\0\0")))
    return read_small_png(b"".join([*small, make_chunk(b"IEND", b"")]))


def read_small_png(content: bytes) -> int:
    """Return the orientation of a PNG of one pixel; 1 if its metadata is broken."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.load()
            return find_orientation(image)
    except Exception:  # see find_orientation
        return UPRIGHT


def make_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a PNG's chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
