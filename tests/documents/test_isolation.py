"""Files that are decoded in a worker process cannot stop, slow or take down the app."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from support.cases import CASES, draw_sign
from support.golden import ROOT

from phi3v.documents import isolation
from phi3v.documents.isolation import WorkerEndedError, WorkerPool, call_worker
from phi3v.documents.pages import Problem, find_pages, open_pages
from phi3v.request import RequestError

BOMB = CASES / "bomb_formself.pdf"


@pytest.fixture
def pool(monkeypatch) -> WorkerPool:
    """A pool of its own, with a short limit, in place of the app's."""
    made = WorkerPool(size=2)
    monkeypatch.setattr(isolation, "WORKERS", made)
    monkeypatch.setattr(isolation, "LIMIT_SECONDS", 2.0)
    yield made
    made.close()


def make_tiff(path: Path) -> Path:
    draw_sign("RGB").save(path, compression="jpeg")
    return path


def test_a_page_over_its_time_is_one_problem_and_the_others_go_on(pool, tmp_path) -> None:
    sources = [make_tiff(tmp_path / "a.tif"), BOMB, make_tiff(tmp_path / "b.tif")]
    opened = list(open_pages(find_pages(sources)))
    assert [isinstance(page, Problem) for page in opened] == [False, True, False]
    assert "takes longer than 2 seconds" in opened[1].message


def test_others_are_served_while_a_page_takes_long(pool, tmp_path) -> None:
    path = make_tiff(tmp_path / "a.tif")
    call_worker("decode_file", path, "a.tif")
    slow = threading.Thread(target=lambda: list(open_pages(find_pages([BOMB]))))
    slow.start()
    while len(pool._running) < 2 and slow.is_alive():
        call_worker("decode_file", path, "a.tif")
    assert slow.is_alive()
    assert call_worker("decode_file", path, "a.tif").image.size == (120, 60)
    slow.join()


def test_a_task_over_its_memory_is_a_problem_of_its_file(monkeypatch, tmp_path) -> None:
    pool = WorkerPool(size=1, limit_bytes=2**26)
    monkeypatch.setattr(isolation, "WORKERS", pool)
    big = tmp_path / "big.tif"
    Image.new("RGB", (6000, 5000)).save(big, compression="jpeg")
    try:
        with pytest.raises(RequestError, match="big.tif"):
            call_worker("decode_file", big, "big.tif")
        assert call_worker("decode_file", make_tiff(tmp_path / "a.tif"), "a.tif").image
    finally:
        pool.close()


def test_an_image_comes_back_as_it_was_decoded(pool, tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (301, 403, 3), dtype=np.uint8)
    path = tmp_path / "noise.tif"
    Image.fromarray(noise).save(path, compression="tiff_lzw")
    assert np.array_equal(np.asarray(call_worker("decode_file", path, "x").image), noise)
    content = path.read_bytes()
    assert np.array_equal(np.asarray(call_worker("decode_file", content, "x").image), noise)


def test_without_files_in_memory_pixels_come_through_the_pipe(pool, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(isolation, "HAS_MEMORY_FILES", False)
    found = call_worker("decode_file", make_tiff(tmp_path / "a.tif"), "a.tif").image
    assert found.getpixel((10, 10))[0] < 60 < found.getpixel((110, 50))[0]


def test_a_worker_that_dies_is_replaced(pool, tmp_path) -> None:
    path = make_tiff(tmp_path / "a.tif")
    call_worker("decode_file", path, "a.tif")
    (worker,) = pool._running
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(RequestError, match="a.tif"):
        call_worker("decode_file", path, "a.tif")
    assert call_worker("decode_file", path, "a.tif").image


def test_closing_ends_the_calls_that_wait(pool) -> None:
    failures: list[Exception] = []

    def call() -> None:
        try:
            pool.call({"function": "render_pdf", "path": str(BOMB), "name": "x",
                       "values": {"number": 1}}, b"", 60)  # fmt: skip
        except WorkerEndedError as error:
            failures.append(error)

    waiting = threading.Thread(target=call)
    waiting.start()
    while not pool._running:
        time.sleep(0.01)
    pids = [worker.pid for worker in pool._running]
    pool.close()
    waiting.join(10)
    assert len(failures) == 1
    assert not any(map(psutil.pid_exists, pids))


def test_a_message_keeps_its_template_for_translation(pool, tmp_path) -> None:
    path = tmp_path / "broken.jp2"
    path.write_bytes((CASES / "good.jp2").read_bytes()[:300])
    with pytest.raises(RequestError) as refusal:
        call_worker("decode_file", path, "broken.jp2")
    assert refusal.value.text.values["name"] == "broken.jp2"
    assert "{name}" in refusal.value.text.template


def test_the_worker_imports_neither_the_app_nor_torch(tmp_path) -> None:
    (tmp_path / "app.py").write_text("raise SystemExit('the app was imported')")
    code = (
        "import sys, phi3v.documents.worker, phi3v.documents.pdf, phi3v.documents.video\n"
        "heavy = {'torch', 'transformers', 'gradio', 'spaces', 'app', 'httpx'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"SPACE_ID": "someone/app", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


SCRIPT = """
import sys, time
from pathlib import Path
from phi3v.documents import isolation
from phi3v.documents.pages import find_pages
(page,) = find_pages([Path(sys.argv[1])])
print(*(worker.pid for worker in isolation.WORKERS._running), flush=True)
page.open()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_is_left_when_the_app_ends(tmp_path, ending) -> None:
    """On a Space too: its app is a main module that must not run again."""
    app = tmp_path / "app.py"
    app.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(app), str(BOMB)],
        env=os.environ | {"SPACE_ID": "someone/app", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        (pid,) = map(int, process.stdout.readline().split())
        time.sleep(0.3)  # into the middle of the page
        begun = time.monotonic()
        process.send_signal(ending)
        process.wait()
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie":
            assert time.monotonic() - begun < 10
            time.sleep(0.02)
