"""Opens image files as upright RGB images within limits.

Plain pictures are decoded in this process, in a time that their pixels bound; what can take long or
needs a large library, in the worker process (see phi3v.documents.isolation). Must not know the
model, the page, or what an image is used for.
"""

import io
from pathlib import Path
from typing import BinaryIO, Final

from PIL import Image

from phi3v.documents.decoding import MAX_PIXELS as MAX_PIXELS
from phi3v.documents.decoding import check_size, measure_file, open_file, to_rgb
from phi3v.documents.formats import HEAD_BYTES, PLAIN_PACKING, explain_unreadable, recognize
from phi3v.documents.isolation import call_worker, decode_in_worker
from phi3v.request import ImageSource, RequestError
from phi3v.translatable import Text

# A JPEG repeats the work for its whole area in each scan; usual progressive ones have about ten.
MAX_SCANS: Final = 40
START_OF_SCAN: Final = b"\xff\xda"
# Readers whose files are opened, though not always decoded, in this process.
HEADER_HERE: Final = ("plain", "tiff")
# What messages call an image without a name.
UNNAMED: Final = Text("The picture")


def open_image(source: ImageSource, name: str | None = None) -> Image.Image:
    """Open an image upright, as RGB, without its metadata; of several in a file, the first.

    Transparent parts become white, and samples of more than 8 bits are scaled by the range they
    use. name is what messages call the image, by default the file's name. Raises RequestError for a
    missing, unreadable, damaged, empty or too large image.
    """
    if isinstance(source, Image.Image):
        return to_rgb(source, name or UNNAMED)
    path = Path(source)
    name = name or path.name
    with open_path(path, name) as file:
        return open_stream(file, name)


def measure_image(source: ImageSource, name: str | None = None) -> tuple[int, int]:
    """Return the (width, height) of open_image's result without decoding the pixels.

    Does not notice damage after the file's header. Raises RequestError as open_image does.
    """
    if isinstance(source, Image.Image):
        return source.size
    path = Path(source)
    name = name or path.name
    with open_path(path, name) as file:
        if find_reader(file, name) in HEADER_HERE:
            return measure_file(file, name)
        require_picture(file, name)
        found = call_worker("measure_file", path, name).values
        return found["width"], found["height"]


def open_stream(file: BinaryIO, name: str) -> Image.Image:
    """Open an image from a binary stream; see open_image."""
    if find_reader(file, name) in HEADER_HERE:
        with open_file(file, name) as image:
            check_size(image, name)
            if is_quick(image, file):
                return to_rgb(image, name)
    else:
        require_picture(file, name)
    return decode_in_worker("decode_file", find_data(file), name)


def find_reader(file: BinaryIO, name: str) -> str:
    """Return the reader that a stream's first bytes ask for; see phi3v.documents.formats."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return recognize(head, name)


def require_picture(file: BinaryIO, name: str) -> None:
    """Raise RequestError unless a stream begins like a picture that the worker decodes."""
    if find_reader(file, name) != "coded":
        raise RequestError(explain_unreadable(file, name))


def is_quick(image: Image.Image, file: BinaryIO) -> bool:
    """True if the time of decoding an opened plain image is bounded by its pixels."""
    if image.format == "TIFF":
        return image.info.get("compression") in PLAIN_PACKING
    if not image.info.get("progressive"):
        return True
    position = file.tell()
    file.seek(0)
    scans = file.read().count(START_OF_SCAN)
    file.seek(position)
    return scans <= MAX_SCANS


def find_data(file: BinaryIO) -> Path | bytes:
    """Return the path of an open file, or the bytes of another stream."""
    if isinstance(file, io.BufferedReader) and isinstance(file.name, str):
        return Path(file.name)
    file.seek(0)
    return file.read()


def open_path(path: Path, name: str) -> BinaryIO:
    """Open a file. Raises RequestError for what is not there, a folder, or may not be read."""
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise RequestError("{name} is not there (any more): upload it again.", name=name) from error
    except IsADirectoryError as error:
        raise RequestError("{name} is a folder: give a picture's file.", name=name) from error
    except (OSError, ValueError) as error:  # a name too long or with a zero byte, no permission
        raise RequestError(
            "{name} cannot be opened ({reason}): check its name and its permissions.",
            name=name[:60],
            reason=getattr(error, "strerror", None) or str(error),
        ) from error
