"""What app and worker process send each other: lines of JSON, texts that can be translated, bytes.

Nothing is unpickled, so that a worker taken over by a file cannot run code in the app.
"""

import json
from typing import IO, Any

from phi3v.translatable import Text


def encode_text(text: str) -> Any:
    """Return a str as JSON, a Text with its template and values."""
    if not isinstance(text, Text):
        return str(text)
    values = {
        name: encode_text(value) if isinstance(value, str) else value
        for name, value in text.values.items()
    }
    return {"template": text.template, "values": values}


def decode_text(encoded: Any) -> str:
    """Return what encode_text encoded."""
    if isinstance(encoded, str):
        return encoded
    values = {
        name: decode_text(value) if isinstance(value, dict) else value
        for name, value in encoded["values"].items()
    }
    return Text(encoded["template"], **values)


def write_message(stream: IO[bytes], header: dict[str, Any], *payload: Any) -> None:
    """Write a line of JSON and what belongs to it."""
    stream.write(json.dumps(header).encode() + b"\n")
    for part in payload:
        stream.write(part)
    stream.flush()


def read_exactly(stream: IO[bytes], count: int) -> bytearray:
    """Return the next `count` bytes. Raises EOFError if there are fewer."""
    content = bytearray(count)
    view = memoryview(content)
    at = 0
    while at < count:
        read = stream.readinto(view[at:])  # type: ignore[attr-defined]
        if not read:
            raise EOFError("the worker ended")
        at += read
    return content
