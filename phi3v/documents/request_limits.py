"""How many pictures, pixels and bytes one request may have, counted before anything is decoded.

Must not know the model, or what the pictures are used for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from phi3v.documents.images import measure_image
from phi3v.request import ImageSource, RequestError

MAX_PICTURES: Final = 100
# Of all pictures together: 768 MB, were they open at once. Four of the largest picture allowed.
MAX_REQUEST_PIXELS: Final = 256_000_000
MAX_REQUEST_BYTES: Final = 512 * 2**20


def measure_pictures(sources: Sequence[ImageSource]) -> tuple[tuple[int, int], ...]:
    """Return the (width, height) of each picture of a request; no pixels are decoded.

    Raises RequestError beyond a limit, and for a picture that cannot be measured.
    """
    if len(sources) > MAX_PICTURES:
        raise RequestError(
            "The request has {count} pictures, the limit is {limit}: use fewer.",
            count=len(sources),
            limit=MAX_PICTURES,
        )
    sizes = []
    pixels = size = 0
    for source in sources:
        width, height = measure_image(source)
        sizes.append((width, height))
        pixels += width * height
        size += 0 if isinstance(source, Image.Image) else Path(source).stat().st_size
        if pixels > MAX_REQUEST_PIXELS:
            raise RequestError(
                "The pictures have more than {limit:,} pixels together, the limit: use fewer, or "
                "smaller ones.",
                limit=MAX_REQUEST_PIXELS,
            )
        if size > MAX_REQUEST_BYTES:
            raise RequestError(
                "The files have more than {limit:.0f} MB together, the limit: use fewer, or "
                "smaller ones.",
                limit=MAX_REQUEST_BYTES / 2**20,
            )
    return tuple(sizes)
