"""Fake engines that answer without a model, word by word, and record their requests."""

import re
import threading
import time
from collections.abc import Iterator

import torch
from PIL import Image
from support.models import build_processor, build_random_model

from phi3v import Engine
from phi3v.conversation.engine_protocol import EngineStatus
from phi3v.documents.images import open_image
from phi3v.request import Chunk, FinishReason, Request, RequestError, Statistics, Token


class FakeEngine:
    """Answers with the number and sizes of its images and the question.

    Questions that begin with these words have their own answers: `slow` (a word every tenth of a
    second, for 30 seconds), `silent` (heartbeats only, as long), `held` (a word, and the rest once
    `gate` is set), `stuck` (for 30 seconds in the phase that follows, with the second of three
    images), `refuse` (RequestError), `break` (RuntimeError), `colours` (of the images), `say` (the
    words that follow). Requests are answered one at a time, in order of arrival.
    """

    name = "fake"
    quantize = "none"
    device = "cpu"
    dtype = "torch.float32"
    is_embedded = True
    revision = ""
    sized = None
    status = EngineStatus()

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.running = 0
        self.queue: list[object] = []
        self.ended = threading.Event()
        self.gate = threading.Event()

    def stream(self, request: Request, stop: threading.Event | None = None) -> Iterator[Chunk]:
        """Answer like phi3v.inference.engine.Engine.stream."""
        ticket = object()
        self.queue.append(ticket)
        try:
            while (position := self.queue.index(ticket)) > 0:
                yield Chunk("", phase="waiting", number=position, total=len(self.queue) - 1)
                time.sleep(0.05)
            yield from self.answer(request)
        finally:
            self.queue.remove(ticket)

    def answer(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer of the first request in the queue, and record that it runs."""
        self.requests.append(request)
        self.running += 1
        self.ended.clear()
        try:
            yield from self.write(request)
        finally:
            self.running -= 1
            self.ended.set()

    def write(self, request: Request) -> Iterator[Chunk]:
        """Yield the chunks of an answer, the last with its statistics."""
        question = next(turn.text for turn in reversed(request.turns) if turn.role == "user")
        if question.startswith("refuse"):
            raise RequestError("The prompt has 5000 tokens, the limit is 4000: use fewer pictures.")
        if question.startswith("break"):
            raise RuntimeError("a secret from the inside")
        if question.startswith(("slow", "silent")):
            for number in range(1, 3000):
                time.sleep(0.1)
                yield Chunk(f"word{number} " if question.startswith("slow") else "")
        if question.startswith("held"):
            yield Chunk("begun ")
            while not self.gate.wait(0.05):
                yield Chunk("")
        if question.startswith("stuck "):
            for _ in range(300):
                yield Chunk("", phase=question.split()[1], number=2, total=3)
                time.sleep(0.1)
        images = [open_image(image) for turn in request.turns for image in turn.images]
        sizes = ", ".join(f"{image.width} x {image.height}" for image in images)
        if question.startswith("colours"):
            sizes = ", ".join(name_colour(image) for image in images)
        if question.startswith("say "):
            yield from say(question.removeprefix("say "), request)
            return
        words = f"{len(images)} pictures ({sizes}). Turn {len(request.turns)}: {question}"
        for word in words.split(" "):
            yield Chunk(word + " ")
        yield Chunk("", Statistics(100, 64, len(words.split(" ")), 0.25, 40.0, "end"))


class MeasuredEngine(FakeEngine, Engine):
    """A FakeEngine with a small model's sizes, so that requests can be estimated."""

    dtype = torch.float32
    sized = Engine.sized

    def __init__(self, context_length: int = 4096) -> None:
        processor = build_processor()
        model = build_random_model(processor, 0, max_position_embeddings=context_length)
        Engine.__init__(self, model, processor, "fake")
        FakeEngine.__init__(self)


def say(text: str, request: Request) -> Iterator[Chunk]:
    """Yield these words, at most max_new_tokens of them; every third has a low probability."""
    pieces = re.findall(r"\s*\S+", text)
    if request.is_continued:
        pieces = pieces[len(request.turns[-1].text.split()) :]
    most = request.sampling.max_new_tokens
    tokens = tuple(
        Token(number, piece, 0.3 if number % 3 == 2 else 0.9)
        for number, piece in enumerate(pieces[:most])
    )
    for token in tokens:
        yield Chunk(token.text)
    reason: FinishReason = "length" if len(pieces) > most else "end"
    yield Chunk("", Statistics(100, 64, len(tokens), 0.25, 40.0, reason), tokens=tokens)


def name_colour(image: Image.Image) -> str:
    """Return the colour of an image's centre as #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*image.getpixel((image.width // 2, image.height // 2)))
