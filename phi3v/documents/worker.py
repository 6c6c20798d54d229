"""The worker process: decodes pictures, PDF pages and video frames for phi3v.documents.isolation.

`python -m phi3v.documents.worker LIMIT_BYTES PIXELS` reads tasks from standard input and
writes replies to standard output, each a line of JSON and bytes. Imports neither the app nor the
model's libraries.
"""

import io
import json
import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from PIL import Image

from phi3v.documents import decoding
from phi3v.documents.isolation import NO_FILE
from phi3v.documents.messages import decode_text, encode_text, read_exactly, write_message
from phi3v.request import RequestError
from phi3v.translatable import Text

# Seconds between two looks whether the app is still there.
PARENT_CHECK_SECONDS: Final = 1.0
# Rows of pixels are written in parts of about this many bytes, so that no second copy is made.
PART_BYTES: Final = 2**25

Values = dict[str, Any]
# A function returns the size of the image that it put into the buffer, if any, and values.
Task = Callable[..., tuple[tuple[int, int] | None, Values]]


class PixelBuffer:
    """Memory for the pixels of a reply: a file shared with the app, or bytes to be written."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.content: Any = bytearray()

    def allocate(self, count: int) -> Any:
        """Return a writable buffer of `count` bytes, which is sent with the reply."""
        if self._file == NO_FILE:
            self.content = bytearray(count)
        else:
            if os.fstat(self._file).st_size < count:
                os.ftruncate(self._file, count)
            self.content = mmap.mmap(self._file, count)
        return self.content

    def fill(self, image: Image.Image) -> tuple[int, int]:
        """Put an RGB image into a new buffer, in parts, and return its size."""
        width, height = image.size
        view = memoryview(self.allocate(3 * width * height))
        rows = max(1, PART_BYTES // (3 * width))
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            is_whole = rows >= height
            part = image if is_whole else image.crop((0, top, width, bottom))
            view[3 * width * top : 3 * width * bottom] = part.tobytes()
        return width, height

    def write(self, replies: BinaryIO, header: Values) -> None:
        """Write a reply."""
        write_message(replies, header, self.content if self._file == NO_FILE else b"")
        self.content = bytearray()


def main(limit_bytes: int, file: int) -> None:
    """Do tasks until standard input ends; `file` is the one for pixels, or -1 for the output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the app, which ends its workers
    limit_memory(limit_bytes)
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    tasks, replies = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a library prints is no reply
    while line := tasks.readline():
        task = json.loads(line)
        payload = bytes(read_exactly(tasks, task["bytes"]))
        set_alarm(task["seconds"] + 1)
        pixels = PixelBuffer(file)
        pixels.write(replies, run_task(task, payload, pixels))
        set_alarm(0)


def run_task(task: Values, payload: bytes, pixels: PixelBuffer) -> Values:
    """Do one task and return its reply without the pixels."""
    name = decode_text(task["name"])
    try:
        data = Path(task["path"]) if task["path"] else payload
        size, values = find_function(task["function"])(pixels, data, name, **task["values"])
        return {"size": size, "values": values}
    except RequestError as error:
        text = error.text
    except Exception as error:  # of any decoder: one file's problem, and the worker goes on
        text = Text(
            "{name} cannot be opened ({reason}): the file is garbled, or too large. Save it again.",
            name=name,
            reason=type(error).__name__,
        )
    pixels.content = bytearray()
    return {"error": encode_text(text)}


def find_function(name: str) -> Task:
    """Return one of the functions below; what one of them needs is imported at its first call."""
    functions: dict[str, Task] = {
        "decode_file": decode_file,
        "measure_file": measure_file,
        "list_frames": list_frames,
        "count_pdf": count_pdf,
        "render_pdf": render_pdf,
        "read_pdf": read_pdf,
        "list_video": list_video,
        "decode_video": decode_video,
    }
    return functions[name]


def decode_file(
    pixels: PixelBuffer, data: Path | bytes, name: str, frame: int = 0
) -> tuple[tuple[int, int], Values]:
    """Return a picture of an image file."""
    with open_data(data) as file:
        return pixels.fill(decoding.decode_file(file, name, frame)), {}


def measure_file(_: PixelBuffer, data: Path | bytes, name: str) -> tuple[None, Values]:
    """Return an image file's width and height."""
    with open_data(data) as file:
        width, height = decoding.measure_file(file, name)
    return None, {"width": width, "height": height}


def list_frames(_: PixelBuffer, data: Path | bytes, name: str) -> tuple[None, Values]:
    """Return an image file's format and pictures."""
    with open_data(data) as file:
        kind, frames = decoding.list_frames(file, name)
    return None, {"format": kind, "frames": frames}


def count_pdf(_: PixelBuffer, data: Path | bytes, name: str) -> tuple[None, Values]:
    """Return how many pages a PDF has."""
    from phi3v.documents.pdf import open_pdf

    return None, {"count": len(open_pdf(data, name))}


def render_pdf(
    pixels: PixelBuffer, data: Path | bytes, name: str, number: int
) -> tuple[tuple[int, int], Values]:
    """Return a PDF's page as an image."""
    from phi3v.documents.pdf import render_page

    return render_page(data, number, name, pixels.allocate), {}


def read_pdf(_: PixelBuffer, data: Path | bytes, name: str, number: int) -> tuple[None, Values]:
    """Return a PDF page's own text, and what is drawn on it."""
    from phi3v.documents.pdf import read_page

    return None, read_page(data, number, name)


def list_video(_: PixelBuffer, data: Path | bytes, name: str) -> tuple[None, Values]:
    """Return the times of a video's frames, in seconds."""
    from phi3v.documents.video import list_times

    with open_data(data) as file:
        return None, {"times": list_times(file, name)}


def decode_video(
    pixels: PixelBuffer, data: Path | bytes, name: str, seconds: float
) -> tuple[tuple[int, int], Values]:
    """Return a video's frame at a time."""
    from phi3v.documents.video import decode_frame

    with open_data(data) as file:
        return pixels.fill(decode_frame(file, name, seconds)), {}


def open_data(data: Path | bytes) -> BinaryIO:
    """Return a file, or bytes, as a binary stream."""
    return io.BytesIO(data) if isinstance(data, bytes) else data.open("rb")


def limit_memory(limit_bytes: int) -> None:
    """Let this process take limit_bytes more than it has, where the system enforces that."""
    if not sys.platform.startswith("linux"):
        return
    import resource

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + limit_bytes, taken + limit_bytes))


def set_alarm(seconds: float) -> None:
    """End this process after so many seconds, should the app not do so; 0 takes it back."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def end_with_parent(parent: int) -> None:
    """End this process when the app is gone, even in the middle of a task."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
