"""Prints how much memory requests with huge pictures take, and keep; see test_memory.py.

A process of its own, because memory that other tests have freed would be used again.
"""

import gc
import json
import sys
import threading
from pathlib import Path

import psutil
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.models import build_processor, build_random_model  # noqa: E402

from phi3v import Engine, Request, RequestError, Sampling, Turn  # noqa: E402

SIDE = 8000


def ask(engine: Engine, *pictures: str) -> str:
    """Return an answer, or why it is refused."""
    turn = Turn("user", "?", pictures)
    try:
        chunks = list(engine.stream(Request((turn,), Sampling(max_new_tokens=2), num_crops=1)))
    except RequestError as error:
        return str(error)
    return str(chunks[-1].statistics.finish_reason)


class Peak:
    """The most memory that this process had while it was watched, in bytes."""

    def __enter__(self) -> "Peak":
        self.base = self.most = psutil.Process().memory_info().rss
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self.watch)
        self._thread.start()
        return self

    def watch(self) -> None:
        while not self._ended.wait(0.002):
            self.most = max(self.most, psutil.Process().memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        gc.collect()
        self.left = psutil.Process().memory_info().rss


def main(folder: Path) -> None:
    whole, cut, small = (str(folder / f"{name}.png") for name in ("whole", "cut", "small"))
    Image.new("RGB", (SIDE, SIDE), "red").save(whole)
    content = Path(whole).read_bytes()
    Path(cut).write_bytes(content[: len(content) // 2])
    Image.new("RGB", (40, 30)).save(small)
    del content
    processor = build_processor()
    engine = Engine(build_random_model(processor, 0, max_position_embeddings=9000), processor, "x")
    ask(engine, small)
    for name, pictures in {
        "fourteen": [whole] * 14,
        "damaged": [whole, cut],
        "answered": [whole] * 2,
    }.items():
        with Peak() as peak:
            said = ask(engine, *pictures)
        more, kept = peak.most - peak.base, peak.left - peak.base
        print(json.dumps({"name": name, "said": said, "more": more, "kept": kept}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
