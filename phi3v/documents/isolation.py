"""Runs decoders in worker processes with limits of time and memory, so that no file stops the app.

A worker is `python -m phi3v.documents.worker`: not multiprocessing, whose processes import the main
module again, which on a hosted Space loads the model, or are forked with all of it; and not
concurrent.futures, whose pool breaks for everyone when one process is ended. Workers start at the
first call and end with this process. Must not know what they do.
"""

import atexit
import json
import mmap
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import psutil
from PIL import Image

from phi3v.documents.messages import decode_text, encode_text, read_exactly, write_message
from phi3v.request import RequestError

# One page or picture; a whole A4 page at 200 dots per inch takes about 0.1 seconds.
LIMIT_SECONDS: Final = 20.0
# Beyond what the libraries take: four times what a picture of 64 million pixels needs as RGB.
LIMIT_BYTES: Final = 2 * 2**30
MAX_WORKERS: Final = 4
START_SECONDS: Final = 20.0
PACKAGE_FOLDER: Final = Path(__file__).parents[2]
# The kernel enforces the limit of memory there; elsewhere the process is watched.
IS_LIMITED: Final = sys.platform.startswith("linux")
WATCH_SECONDS: Final = 0.1
# Pixels come back in a file in memory, where the system has such files, else through the pipe: a
# pipe holds little, so that both processes wait for each other many times for one page.
HAS_MEMORY_FILES: Final = hasattr(os, "memfd_create")
NO_FILE: Final = -1
# A file in memory is kept at this size between tasks, and cut to nothing if it is larger.
KEPT_BYTES: Final = 2**25


@dataclass(frozen=True)
class Reply:
    """What a worker returned: an image, if the task has one, and values as JSON has them."""

    image: Image.Image | None
    values: dict[str, Any]


class WorkerProcess:
    """One running worker; `call` does one task at a time."""

    def __init__(self, limit_bytes: int) -> None:
        paths = (str(PACKAGE_FOLDER), os.environ.get("PYTHONPATH", ""))
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        self._limit_bytes = limit_bytes
        self._ending = threading.Lock()
        self._pixels = os.memfd_create("pixels") if HAS_MEMORY_FILES else NO_FILE
        shared = () if self._pixels == NO_FILE else (self._pixels,)
        self._process = subprocess.Popen(
            # -P: what lies in the working directory is not imported.
            [
                sys.executable,
                "-P",
                "-m",
                "phi3v.documents.worker",
                *map(str, (limit_bytes, self._pixels)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=shared,
            env=os.environ | threads | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def call(self, task: dict[str, Any], payload: bytes, seconds: float) -> Reply:
        """Return the reply to a task. Raises RequestError, or WorkerEndedError without a reply."""
        ended = threading.Event()
        reasons: list[str] = []
        watch = threading.Thread(target=self._watch, args=(ended, seconds, reasons), daemon=True)
        watch.start()
        try:
            write_message(self._input, task | {"seconds": seconds, "bytes": len(payload)}, payload)
            return read_reply(self._output, self._pixels)
        except RequestError:
            raise
        except (EOFError, OSError, ValueError) as error:  # it ended, or its reply makes no sense
            raise WorkerEndedError(reasons[0] if reasons else "crash") from error
        finally:
            ended.set()

    def _watch(self, ended: threading.Event, seconds: float, reasons: list[str]) -> None:
        """End the process when a task takes too long, or more memory than it may."""
        deadline = time.monotonic() + seconds
        process = psutil.Process(self.pid) if not IS_LIMITED else None
        while not ended.wait(deadline - time.monotonic() if IS_LIMITED else WATCH_SECONDS):
            if time.monotonic() >= deadline:
                reasons.append("time")
            elif process is not None and process.memory_info().rss > self._limit_bytes:
                reasons.append("memory")
            if reasons:
                self._process.kill()
                return

    def end(self) -> None:
        """End the process, and so a call that waits for it; both may do so."""
        self._process.kill()
        self._process.wait()
        with self._ending:
            self._close_files()

    def _close_files(self) -> None:
        self._output.close()
        if self._pixels != NO_FILE:
            os.close(self._pixels)
            self._pixels = NO_FILE
        with suppress(BrokenPipeError):
            self._input.close()


class WorkerEndedError(Exception):
    """A worker ended in the middle of a task: "time", "memory" or "crash" says why."""


@dataclass
class WorkerPool:
    """Up to `size` workers, started when needed; a call waits until one is free."""

    size: int = field(default_factory=lambda: min(MAX_WORKERS, max(2, os.cpu_count() or 2)))
    limit_bytes: int = LIMIT_BYTES

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin without workers: those of the process that this one was forked from are its own."""
        self._free = threading.BoundedSemaphore(self.size)
        self._lock = threading.Lock()
        self._idle: list[WorkerProcess] = []
        self._running: set[WorkerProcess] = set()

    def call(self, task: dict[str, Any], payload: bytes, seconds: float) -> Reply:
        """Return a worker's reply to a task.

        Raises RequestError for what the user can fix, and WorkerEndedError if the task took more
        time or memory than it may, or ended the process; the next one gets another process.
        """
        with self._free:
            worker = self._take()
            try:
                reply = worker.call(task, payload, seconds)
            except RequestError:
                self._give_back(worker)
                raise
            except BaseException:  # KeyboardInterrupt too: its reply may still come
                self._discard(worker)
                raise
            self._give_back(worker)
            return reply

    def close(self) -> None:
        """End all workers, and so the calls that wait for them."""
        with self._lock:
            running, self._idle = list(self._running), []
        for worker in running:
            self._discard(worker)

    def _take(self) -> WorkerProcess:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            worker = WorkerProcess(self.limit_bytes)
            self._running.add(worker)
            return worker

    def _give_back(self, worker: WorkerProcess) -> None:
        with self._lock:
            self._idle.append(worker)

    def _discard(self, worker: WorkerProcess) -> None:
        worker.end()
        with self._lock:
            self._running.discard(worker)


WORKERS: Final = WorkerPool()
atexit.register(WORKERS.close)
if hasattr(os, "register_at_fork"):  # a Space answers in a forked process
    os.register_at_fork(after_in_child=WORKERS.forget)


def decode_in_worker(
    function: str, data: Path | bytes, name: str, **values: int | float | None
) -> Image.Image:
    """Return the image that a worker's function decodes; see call_worker."""
    image = call_worker(function, data, name, **values).image
    assert image is not None, "this function returns an image"
    return image


def call_worker(
    function: str, data: Path | bytes, name: str, **values: int | float | None
) -> Reply:
    """Return the reply of a worker's function for a file or its content, called `name` in messages.

    Raises RequestError if it cannot be read, or takes more than LIMIT_SECONDS or LIMIT_BYTES.
    """
    payload = data if isinstance(data, bytes) else b""
    path = None if isinstance(data, bytes) else str(Path(data).resolve())
    task = {"function": function, "path": path, "name": encode_text(name), "values": values}
    try:
        return WORKERS.call(task, payload, LIMIT_SECONDS)
    except WorkerEndedError as error:
        if str(error) == "time":
            raise RequestError(
                "{name} takes longer than {seconds:g} seconds to open, which is the limit: make it "
                "simpler or smaller, or print it to a new file.",
                name=name,
                seconds=LIMIT_SECONDS,
            ) from error
        raise RequestError(
            "{name} takes more memory to open than the limit of {limit:,} MB, or is garbled: make "
            "it smaller, or save it again.",
            name=name,
            limit=LIMIT_BYTES // 2**20,
        ) from error


def read_reply(stream: IO[bytes], pixels: int) -> Reply:
    """Read a worker's reply, its pixels from a file.

    Raises the RequestError that it holds, and EOFError if it breaks off.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the worker ended")
    header = json.loads(line)
    if "error" in header:
        raise RequestError(decode_text(header["error"]))
    image = None
    if header["size"]:
        width, height = header["size"]
        count = width * height * 3
        if pixels == NO_FILE:
            image = Image.frombytes("RGB", (width, height), read_exactly(stream, count))
        else:
            image = map_image(pixels, (width, height))
    return Reply(image, header["values"])


def map_image(pixels: int, size: tuple[int, int]) -> Image.Image:
    """Return a copy of the RGB image in a file. Raises EOFError if it is shorter."""
    count = size[0] * size[1] * 3
    if os.fstat(pixels).st_size < count:
        raise EOFError("the worker sent too few pixels")
    flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    with mmap.mmap(pixels, count, flags, mmap.PROT_READ) as content, memoryview(content) as view:
        image = Image.frombytes("RGB", size, view)
    if count > KEPT_BYTES:
        os.ftruncate(pixels, 0)
    return image
