"""Decodes picture files with Pillow as upright RGB, wherever it runs: here or in the worker.

Each refusal is a RequestError that says which file, what was found and what to do. Must not know
where files come from, nor which process it is in.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import BinaryIO, Final

from PIL import Image, ImageSequence

from phi3v.documents.formats import FORMATS, HEAD_BYTES, explain_raw, explain_unreadable, recognize
from phi3v.documents.orientation import METHODS, find_orientation, find_png_orientation
from phi3v.documents.pixels import flatten, has_wide_samples
from phi3v.request import RequestError
from phi3v.translatable import Text

# 64 million pixels, 192 MB as RGB: more than a phone's photo has (up to 50 million).
MAX_PIXELS: Final = 64_000_000
# Frames whose times are read; a longer animation is counted on without them.
MAX_FRAMES: Final = 10_000
# TIFF tags: what a page is of (1: a smaller copy, 4: a mask), and that the file is a raw photo.
SUBFILE_TYPE, SMALLER_COPY, MASK, SUB_FILES, DNG_VERSION = 254, 1, 4, 330, 50706


@contextmanager
def open_file(file: BinaryIO, name: str) -> Iterator[Image.Image]:
    """Open an image file, not decoded yet. Raises RequestError for what is none."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    is_heif = head[4:8] == b"ftyp" and recognize(head, name) == "coded"
    file.seek(0)
    try:
        if is_heif:
            register_heif()
        image = Image.open(file, formats=(*FORMATS, "HEIF") if is_heif else FORMATS)
    except Image.DecompressionBombError as error:
        # Pillow has its own, higher limit and gives the size only in its message.
        found = re.search(r"\d{9,}", str(error))
        size = (
            Text("{count:,} pixels", count=int(found[0]))
            if found
            else Text("more than 178 million pixels")
        )
        raise RequestError(explain_size(name, size)) from error
    except Exception as error:  # what broken files make a format's reader raise differs by format
        raise RequestError(explain_unreadable(file, name)) from error
    with image:
        tags = getattr(image, "tag_v2", {})
        if DNG_VERSION in tags or (tags.get(SUBFILE_TYPE) == SMALLER_COPY and SUB_FILES in tags):
            raise RequestError(explain_raw(name))
        yield image


@cache
def register_heif() -> None:
    """Let Pillow open HEIC photos; the library takes some 20 MB, so it is imported on first use."""
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)


def decode_file(file: BinaryIO, name: str, frame: int = 0) -> Image.Image:
    """Decode a picture of a file, of several the one at index `frame`; see to_rgb."""
    with open_file(file, name) as image:
        if frame:
            check_size(image, name)
            with explain_damage(image, name):
                image.seek(frame)
        return to_rgb(image, name)


def measure_file(file: BinaryIO, name: str) -> tuple[int, int]:
    """Return the (width, height) of decode_file's result without decoding the pixels."""
    with open_file(file, name) as image:
        check_size(image, name)
        size = image.size
        if image.format == "PNG":
            is_turned = find_png_orientation(file) >= 5  # 5 to 8 swap width and height
        else:
            is_turned = find_orientation(image) >= 5
        return size[::-1] if is_turned else size


def list_frames(file: BinaryIO, name: str) -> tuple[str, list[tuple[int, float | None]]]:
    """Return a file's format and its pictures, each as its index and its time in seconds.

    The times of a TIFF's pages are None, and those of it that are smaller copies or masks of
    another are left out. Raises RequestError for what is no picture.
    """
    with open_file(file, name) as image:
        count = getattr(image, "n_frames", 1) if image.format not in ("MPO", "ICO") else 1
        if count == 1:
            return str(image.format), [(0, None)]
        frames: list[tuple[int, float | None]] = []
        seconds = 0.0
        with explain_damage(image, name):
            if image.format == "TIFF":
                kinds = [read_kind(page) for page in ImageSequence.Iterator(image)]
                pages = [i for i, kind in enumerate(kinds) if not kind & (SMALLER_COPY | MASK)]
                return "TIFF", [(i, None) for i in pages or range(count)]
            for index in range(min(count, MAX_FRAMES)):
                image.seek(index)
                frames.append((index, seconds))
                seconds += read_duration(image)
        return str(image.format), frames


def read_kind(page: Image.Image) -> int:
    """Return what the current page of a TIFF is of, as its tag says; 0 is a page of its own."""
    kind = getattr(page, "tag_v2", {}).get(SUBFILE_TYPE, 0)
    return kind if isinstance(kind, int) else 0


def read_duration(image: Image.Image) -> float:
    """Return how long the current frame of an animation is shown, in seconds."""
    if image.format in ("WEBP", "AVIF"):  # known after decoding only
        image.load()
    duration = image.info.get("duration", 0)
    return float(duration) / 1000 if isinstance(duration, int | float) else 0.0


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Decode an image and return it upright, as RGB, without metadata.

    Transparent parts become white: dropping alpha, as the published processor does, would show the
    hidden colours of transparent pixels. Raises RequestError for an image that is damaged, empty or
    too large.
    """
    check_size(image, name)
    with explain_damage(image, name):
        is_wide = has_wide_samples(image)
        image.load()
        method = METHODS.get(find_orientation(image))
        rgb = flatten(image, is_wide)
        if method is not None:
            rgb = rgb.transpose(method)
    rgb.info = {}
    return rgb


@contextmanager
def explain_damage(image: Image.Image, name: str) -> Iterator[None]:
    """Turn what a decoder raises, of whatever type, into the RequestError of a damaged picture."""
    width, height = image.size
    try:
        yield
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(
            "{name} is a damaged {format} ({width} x {height} pixels, but the file breaks off or "
            "is garbled): save or download it again.",
            name=name,
            format=image.format or Text("picture"),
            width=width,
            height=height,
        ) from error


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


def explain_size(name: str, found: str) -> Text:
    """Return the message for an image that is too large: `found` is its size in words."""
    return Text(
        "{name} is too large: {found}, the limit is {limit:,}. "
        "Make it smaller or cut out the part that matters.",
        name=name,
        found=found,
        limit=MAX_PIXELS,
    )
