"""Each running app has a folder of uploads of its own, and leaves nothing behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

from phi3v.ui.upload_folder import LOCK, MAX_UNLOCKED_SECONDS, PREFIX, UploadFolder

# A process that makes a folder with a file, tells its path, and waits to be killed.
RUN = """
import sys, time
from pathlib import Path
from phi3v.ui.upload_folder import UploadFolder
folder = UploadFolder(Path(sys.argv[1]))
(folder.path / "upload.png").write_bytes(b"x")
print(folder.path, flush=True)
time.sleep(60)
"""


def make_old(path: Path, seconds: float = 2 * MAX_UNLOCKED_SECONDS) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def test_a_folder_is_gone_when_its_app_ends(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path)
    (folder.path / "deep").mkdir()
    (folder.path / "deep" / "upload.png").write_bytes(b"x")
    assert os.stat(folder.path).st_mode & 0o077 == 0
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_app_left_is_cleared_and_a_running_one_keeps_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    killed, running = (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)
    )
    try:
        left, kept = (Path(app.stdout.readline().strip()) for app in (killed, running))
        killed.kill()
        killed.wait()
        assert (left / "upload.png").exists()
        folder = UploadFolder(tmp_path)
        assert not left.exists()
        assert (kept / "upload.png").exists()
        assert folder.path.exists()
        folder.remove()
    finally:
        for app in (killed, running):
            app.kill()
            app.wait()
            app.stdout.close()


def test_a_folder_without_a_lock_is_cleared_once_it_is_old(tmp_path: Path) -> None:
    young, old, other = (tmp_path / name for name in (f"{PREFIX}a", f"{PREFIX}b", "other"))
    for folder in (young, old, other):
        folder.mkdir()
        make_old(folder, 0 if folder is young else 2 * MAX_UNLOCKED_SECONDS)
    UploadFolder(tmp_path).remove()
    assert young.exists()
    assert not old.exists()
    assert other.exists()


def test_old_files_are_swept_by_whoever_made_them(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path)
    kept, swept = folder.path / "kept.png", folder.path / "a" / "b.png"
    swept.parent.mkdir()
    for file in (kept, swept):
        file.write_bytes(b"x")
    folder.sweep(3600)
    assert swept.exists()
    folder.sweep(-1, {str(kept)})
    assert kept.exists()
    assert not swept.exists()
    assert (folder.path / LOCK).exists()
    folder.remove()


def test_a_forked_process_removes_nothing(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path)
    child = os.fork()
    if child == 0:
        folder.remove()
        os._exit(0)
    os.waitpid(child, 0)
    assert folder.path.exists()
    folder.remove()
