"""Encodes images as files."""

from io import BytesIO

from PIL import Image

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    """Return the bytes of an image's file."""
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()
