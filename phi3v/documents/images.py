"""Opens image files as upright RGB images within limits.

Knows the files that people upload: phone photos, scans, animations, broken files. Each refusal is a
RequestError that says which file, what was found and what to do. Must not know the model, the page,
or what an image is used for.
"""

import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from PIL import Image, ImageOps

from phi3v.request import ImageSource, RequestError
from phi3v.translatable import Text

# 64 million pixels, 192 MB as RGB: more than a phone's photo has (up to 50 million).
MAX_PIXELS: Final = 64_000_000
# Pillow opens more formats, among them PostScript, for which it runs an interpreter on the file.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "ICO")
READABLE: Final = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF"
ORIENTATION: Final = 0x0112  # the EXIF tag
# What messages call an image without a name.
UNNAMED: Final = Text("The picture")
# The exceptions of Pillow's decoders for broken files: they differ by format.
DECODE_ERRORS: Final = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


def open_image(source: ImageSource, name: str | None = None) -> Image.Image:
    """Open an image upright, as RGB, without its metadata; of an animation, the first frame.

    Transparent parts become white: dropping alpha, as the published processor does, would show the
    hidden colours of transparent pixels. name is what messages call the image, by default the
    file's name. Raises RequestError for a missing, unreadable, damaged, empty or too large image.
    """
    if isinstance(source, Image.Image):
        return to_rgb(source, name or UNNAMED)
    path = Path(source)
    name = name or path.name
    try:
        with path.open("rb") as file:
            return open_stream(file, name)
    except FileNotFoundError as error:
        raise RequestError("{name} is not there (any more): upload it again.", name=name) from error
    except IsADirectoryError as error:
        raise RequestError("{name} is a folder: give a picture's file.", name=name) from error


def measure_image(source: ImageSource, name: str | None = None) -> tuple[int, int]:
    """Return the (width, height) of open_image's result without decoding the pixels.

    Does not notice damage after the file's header. Raises RequestError as open_image does.
    """
    if isinstance(source, Image.Image):
        return source.size
    path = Path(source)
    try:
        with Image.open(path, formats=FORMATS) as image:
            check_size(image, name or path.name)
            is_turned = image.getexif().get(ORIENTATION, 1) >= 5  # 5 to 8 swap width, height
            return image.size[::-1] if is_turned else image.size
    except (Image.DecompressionBombError, *DECODE_ERRORS):
        return open_image(source, name).size  # raises the error that explains it


def open_stream(file: BinaryIO, name: str) -> Image.Image:
    """Open an image from a binary stream; see open_image."""
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        # Pillow has its own, higher limit and gives the size only in its message.
        found = re.search(r"\d{9,}", str(error))
        size = (
            Text("{count:,} pixels", count=int(found[0]))
            if found
            else Text("more than 178 million pixels")
        )
        raise RequestError(explain_size(name, size)) from error
    except DECODE_ERRORS as error:
        raise RequestError(explain_unreadable(file, name)) from error
    with image:
        return to_rgb(image, name)


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Decode an image and return it upright, as RGB, without metadata; see open_image."""
    check_size(image, name)
    width, height = image.size
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        rgb = flatten(upright)
    except DECODE_ERRORS as error:
        raise RequestError(
            "{name} is a damaged {format} ({width} x {height} pixels, but the file breaks off or "
            "is garbled): save or download it again.",
            name=name,
            format=image.format or Text("picture"),
            width=width,
            height=height,
        ) from error
    rgb.info = {}
    return rgb


def check_size(image: Image.Image, name: str) -> None:
    """Raise RequestError for an image without pixels or with more than MAX_PIXELS."""
    width, height = image.size
    if width == 0 or height == 0:
        raise RequestError(
            "{name} is {width} x {height} pixels: give a picture that has some.",
            name=name,
            width=width,
            height=height,
        )
    if width * height > MAX_PIXELS:
        found = Text(
            "{width:,} x {height:,} = {count:,} pixels",
            width=width,
            height=height,
            count=width * height,
        )
        raise RequestError(explain_size(name, found))


def flatten(image: Image.Image) -> Image.Image:
    """Return a copy in RGB of an image of any mode, on white where it is transparent."""
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode.startswith("I"):  # 16 bits a pixel: convert() clips most values to white
        values = np.asarray(image).astype(np.int64)
        shift = 8 if values.max(initial=0) > 255 else 0
        return Image.fromarray((values >> shift).clip(0, 255).astype(np.uint8)).convert("RGB")
    # Always a copy: the caller's image, or the open file, must not change.
    return image.convert("RGB")


def explain_size(name: str, found: str) -> Text:
    """Return the message for an image that is too large: `found` is its size in words."""
    return Text(
        "{name} is too large: {found}, the limit is {limit:,}. "
        "Make it smaller or cut out the part that matters.",
        name=name,
        found=found,
        limit=MAX_PIXELS,
    )


def explain_unreadable(file: BinaryIO, name: str) -> Text:
    """Return the message for an unreadable file, with its format guessed from its first bytes."""
    file.seek(0)
    head = file.read(64)
    if not head:
        return Text("{name} is empty (0 bytes): upload it again.", name=name)
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return Text(
            "{name} is a HEIC photo, which cannot be read here: save it as JPEG.", name=name
        )
    if head.startswith(b"%PDF"):
        found = Text("a PDF document")
    elif head[4:8] == b"ftyp" or head.startswith(b"\x1a\x45\xdf\xa3"):
        found = Text("a video")
    elif all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        found = Text("a text file")
    else:
        found = Text("something else or a damaged file")
    return Text(
        "{name} is not a picture but {found}: give {readable}.",
        name=name,
        found=found,
        readable=READABLE,
    )
