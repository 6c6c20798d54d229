"""The folder of what users upload and the app makes: each running app's own, and gone with it.

Gradio's own folder is shared by all apps of a computer, and what it forgets when an app is killed
stays there. A lock, which the system takes back from a killed process, tells a running app's
folder from one that was left.
"""

import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

PREFIX: Final = "phi3v-uploads-"
LOCK: Final = ".lock"
# A folder without a lock was left before it got one, or is about to get it.
MAX_UNLOCKED_SECONDS: Final = 3600.0


class UploadFolder:
    """A new folder for temporary files in `base`, which this process holds until `remove`.

    Folders that ended apps have left in `base` are deleted first.
    """

    def __init__(self, base: Path) -> None:
        base.mkdir(parents=True, exist_ok=True)
        clear_left(base)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base)).resolve()
        self._lock = FileLock(self.path / LOCK)
        self._lock.acquire()
        self._process = os.getpid()
        self._ended = threading.Event()

    def use(self) -> None:
        """Make it the folder of Gradio's uploads, and of Python's temporary files."""
        os.environ["GRADIO_TEMP_DIR"] = str(self.path)
        tempfile.tempdir = str(self.path)

    def sweep_often(
        self, every: float, age: float, find_kept: Callable[[], Collection[str]]
    ) -> None:
        """Delete old files in a thread of its own, every so many seconds; see `sweep`."""

        def run() -> None:
            while not self._ended.wait(every):
                try:
                    self.sweep(age, find_kept())
                except OSError:  # the next time may succeed
                    logger.exception("Old files could not be deleted.")

        threading.Thread(target=run, name="phi3v-sweep", daemon=True).start()

    def sweep(self, age: float, kept: Collection[str] = ()) -> None:
        """Delete what has been there for `age` seconds, except the files in `kept`.

        It looks at the files that are there, not at a list of those that were made.
        """
        before = time.time() - age
        for folder, folders, names in os.walk(self.path, topdown=False):
            for name in names:
                file = Path(folder, name)
                with suppress(FileNotFoundError):
                    is_kept = str(file) in kept or file == self.path / LOCK
                    if not is_kept and file.lstat().st_ctime < before:
                        file.unlink()
            for name in folders:
                with suppress(OSError):  # it is not empty
                    if Path(folder, name).stat().st_mtime < before:
                        Path(folder, name).rmdir()

    def remove(self) -> None:
        """Delete the folder and all in it; a forked process leaves it to the one that made it."""
        if os.getpid() == self._process:
            self._ended.set()
            self._lock.release()
            shutil.rmtree(self.path, ignore_errors=True)


def clear_left(base: Path) -> None:
    """Delete the folders of ended apps in `base`, and never that of a running one."""
    for folder in base.glob(f"{PREFIX}*"):
        lock = folder / LOCK
        with suppress(OSError, Timeout):  # another user's, or a running app's
            if lock.exists():
                with FileLock(lock, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
            elif time.time() - folder.stat().st_mtime > MAX_UNLOCKED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def find_base() -> Path:
    """Return where upload folders are made: Gradio's GRADIO_TEMP_DIR, or the system's own."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
