"""Reads the bytes of pictures in data: URLs. Knows neither pictures nor endpoints."""

import base64

from phi3v.request import RequestError
from phi3v.ui.api import words as api_words


class TooLargeError(RequestError):
    """The picture in a data URL has more bytes than may be uploaded."""


def read_data_url(url: str, name: str, limit_bytes: int) -> bytes:
    """Return the bytes in a base64 data URL; name is what messages call the picture.

    Raises RequestError for another URL, TooLargeError for more than limit_bytes decoded.
    """
    kind, _, content = url.partition(",")
    size = len(content) * 3 // 4
    if size > limit_bytes:
        raise TooLargeError(api_words.too_large(name, size, limit_bytes))
    if not kind.endswith(";base64"):
        raise RequestError(api_words.bad_data_url(name))
    try:
        return base64.b64decode(content, validate=True)
    except ValueError as error:  # binascii.Error is one, and so is text that is not ASCII
        raise RequestError(api_words.bad_data_url(name)) from error
