"""A stand-in for the network: answers at once, word by word, and keeps count."""

import threading
import time
from collections.abc import Iterator

from PIL import Image

from phi3v.request import Chunk, Request, RequestError, Statistics


class FakeEngine:
    """Says how many pictures of which size it was shown, and repeats the question.

    Questions that begin with these words have their own answers: `slow` (a word every tenth of a
    second, for ever), `silent` (no word, only signs of life), `refuse`, `break`, `colours`.
    """

    name = "fake"
    device = "cpu"
    dtype = "torch.float32"
    is_embedded = True

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.running = 0
        self.most_running = 0
        self.ended = threading.Event()
        self.lock = threading.Lock()

    def stream(self, request: Request) -> Iterator[Chunk]:
        """Answer like phi3v.engine.Engine.stream."""
        with self.lock:
            self.requests.append(request)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self.ended.clear()
        try:
            yield from self.write(request)
        finally:
            with self.lock:
                self.running -= 1
            self.ended.set()

    def write(self, request: Request) -> Iterator[Chunk]:
        """The words of an answer and its statistics."""
        question = request.turns[-1].text
        if question.startswith("refuse"):
            raise RequestError("The prompt has 5000 tokens, the limit is 4000: use fewer pictures.")
        if question.startswith("break"):
            raise RuntimeError("a secret from the inside")
        if question.startswith(("slow", "silent")):
            for number in range(1, 300):
                time.sleep(0.1)
                yield Chunk(f"word{number} " if question.startswith("slow") else "")
        images = [image for turn in request.turns for image in turn.images]
        sizes = ", ".join(f"{image.width} x {image.height}" for image in images)
        if question.startswith("colours"):
            sizes = ", ".join(name_colour(image) for image in images)
        words = f"{len(images)} pictures ({sizes}). Turn {len(request.turns)}: {question}"
        for word in words.split(" "):
            yield Chunk(word + " ")
        yield Chunk("", Statistics(100, 64, len(words.split(" ")), 0.25, 40.0, "end"))


def name_colour(image: Image.Image) -> str:
    """The colour in the middle of a picture."""
    return "#{:02x}{:02x}{:02x}".format(*image.getpixel((image.width // 2, image.height // 2)))
