"""Answers one request at a time: a background thread generates, the caller reads text as it comes.

Takes model and processor as arguments; knows nothing of pages, flags or files of weights.
"""

import logging
import queue
import threading
import time
import traceback
from collections.abc import Generator, Iterator
from functools import cached_property, partial
from pathlib import Path

import torch
from PIL import Image

from phi3v.conversation.checkpoint_processor import find_stop_ids
from phi3v.conversation.engine_protocol import (
    HEARTBEAT_INTERVAL,
    READ_INTERVAL,
    EngineStatus,
    GenerationError,
)
from phi3v.conversation.request_queue import RequestQueue
from phi3v.conversation.throughput import Throughput
from phi3v.inference.adapters import Adapters
from phi3v.inference.cancellation import Cancelled
from phi3v.inference.checkpoint_files import EMBEDDED, find_revision_of
from phi3v.inference.generation import decodes_on_one_thread, generate
from phi3v.inference.hardware import free_memory
from phi3v.inference.memory import describe_shortage, free_unused, is_shortage
from phi3v.inference.prefix_cache import PrefixCache
from phi3v.inference.request_opening import RequestOpener
from phi3v.inference.streaming import ANSWERING, Answer, Progress
from phi3v.inference.vision_cache import VisionCache
from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from phi3v.model.cuda_graphs import CapturedSteps
from phi3v.model.decoding import count_cache_bytes
from phi3v.request import Chunk, Request, RequestError, Sampling, Turn

logger = logging.getLogger(__name__)

# Queued requests whose images are opened and cut into crops while another answer is decoded; those
# behind them hold no pixels. An image takes 23 MB at 16 crops, and 3 bytes a pixel itself.
PREPARED_AHEAD = 2

# Default size of an engine's caches, in bytes.
DEFAULT_REUSE_BYTES = 500_000_000

# Vision features of an image at 16 crops are 1,921 tokens of 6 KiB; the KV prefix of as many tokens
# takes 384 KiB for each (published sizes, two bytes a number). So prefixes get the larger part.
VISION_CACHE_SHARE = 1 / 8


class Engine:
    """Answers requests with one model, in order of arrival.

    `reuse_bytes` is the size of the caches for vision features and KV prefixes, `replay_bytes` that
    of the keys and values of captured decode steps (0 captures none), which start after
    `eager_answers` answers (see phi3v.model.cuda_graphs). quantize is the weights' quantization,
    adapters are those loaded on top of the model, of which each request chooses one or none.
    new_tokens counts all tokens decoded so far, read or not; threads are what a CPU uses for images
    and prompts: as many as torch had when the engine was made.
    """

    status = EngineStatus()

    def __init__(
        self,
        model: Phi3VForCausalLM,
        processor: Phi3VProcessor,
        name: str,
        reuse_bytes: int = DEFAULT_REUSE_BYTES,
        replay_bytes: int = 0,
        eager_answers: int = 0,
        quantize: str = "none",
        adapters: Adapters | None = None,
    ) -> None:
        self.model = model.eval()
        # On ZeroGPU only the thread that loaded the model sees it on CUDA while no GPU is lent.
        self._device = model.device
        self.quantize = quantize
        self.adapters = adapters or Adapters(model)
        self.processor = processor
        self.name = name
        self.new_tokens = 0
        self.threads = torch.get_num_threads()
        self.throughput = Throughput()
        vision_bytes = int(reuse_bytes * VISION_CACHE_SHARE)
        self.vision_cache = VisionCache(model, processor, vision_bytes)
        free = partial(free_memory, model.device)
        steps = None
        if replay_bytes:
            steps = CapturedSteps(model.model, replay_bytes, free, eager_answers)
        self.prefix_cache = PrefixCache(model, processor, reuse_bytes - vision_bytes, steps)
        self._queue: RequestQueue[Answer | None] = RequestQueue()
        self._thread: threading.Thread | None = None
        self._thread_lock = threading.Lock()
        self._opener = RequestOpener(processor, self.vision_cache, self.adapters)

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the weights."""
        return self.model.dtype

    @property
    def context_length(self) -> int:
        """The most tokens that prompt and answer may have together."""
        return int(self.model.config.max_position_embeddings)

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of keys and values that one token takes in all layers."""
        return count_cache_bytes(self.model.config, self.dtype)

    @property
    def is_embedded(self) -> bool:
        """True for the embedded checkpoint."""
        return self.name == EMBEDDED

    @property
    def revision(self) -> str:
        """The revision of the checkpoint's files; "" if they are not found."""
        return find_revision_of(self.name)

    @property
    def sized(self) -> "Engine":
        """Itself: its limits are known."""
        return self

    def stop_token_ids(self) -> list[int]:
        """Return the ids that end an answer: of the config, the tokenizer and the chat format."""
        return find_stop_ids(self.processor.tokenizer, self.model.config.eos_token_id)

    def stream(
        self, request: Request, stop: threading.Event | None = None
    ) -> Generator[Chunk, None, None]:
        """Answer a request: chunks of text, then one chunk with the statistics.

        Chunks without text are heartbeats and tell the phase. Setting `stop` ends the answer within
        one token, or one layer of the model before the first, with its statistics; closing the
        iterator ends it without. Raises RequestError before any queueing where the request cannot
        be answered and later where memory runs out, GenerationError where generation fails.
        """
        stop, stop_ids = stop or threading.Event(), self.stop_token_ids()
        answer = self._opener.open(request, stop, self.context_length, stop_ids)
        self._enqueue(answer)
        try:
            yield from self._read(answer)
        finally:
            answer.abandoned.set()
            self._queue.remove(answer)
        if isinstance(answer.error, RequestError):
            raise answer.error
        if answer.error is not None:
            raise GenerationError(explain_failure(answer.error)) from answer.error
        statistics = answer.statistics()
        self.throughput.record(statistics)
        logger.info("%s", statistics)
        yield Chunk("", statistics, tokens=answer.tokens())

    def warm_up(self) -> None:
        """Answer a small question, so that kernels are chosen, compiled and captured."""
        turns = (Turn("user", "Hello", (Image.new("RGB", (336, 336)),)),)
        for _ in self.stream(Request(turns, Sampling(max_new_tokens=4), num_crops=1)):
            pass

    def clear_caches(self) -> None:
        """Evict all vision features, KV prefixes and captured steps."""
        self.vision_cache.clear()
        self.prefix_cache.clear()

    def close(self) -> None:
        """End the generating thread once it has answered all, so that the model can be freed."""
        if self._thread is not None and self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _enqueue(self, answer: Answer) -> None:
        """Queue an answer for the generating thread, which is started if there is none.

        A thread does not survive a fork (a hosted Space forks its workers); in the child a new
        thread and a new queue take over.
        """
        with self._thread_lock:
            if self._thread is None or not self._thread.is_alive():
                self._queue = RequestQueue()
                self._thread = threading.Thread(
                    target=self._generate_forever, name="phi3v-generate", daemon=True
                )
                self._thread.start()
            self._queue.put(answer)
        if self._queue.position(answer)[0] > PREPARED_AHEAD:
            answer.images.close()

    @cached_property
    def decodes_on_one_thread(self) -> bool:
        """True if the model is so small that a second CPU thread slows its decoding down."""
        return decodes_on_one_thread(self.model)

    def _generate_forever(self) -> None:
        while True:
            answer = self._queue.get()
            if answer is None:
                return
            try:
                answer.error = self._find_error(answer)
            finally:
                answer.finished.set()
            del answer  # or its images would stay in memory until the next request

    def _find_error(self, answer: Answer) -> BaseException | None:
        """Generate an answer; return what prevented it, None if nothing did.

        Also KeyboardInterrupt and SystemExit, which would end this thread and leave every reader
        waiting for it.
        """
        try:
            self._generate(answer)
            return None
        except Cancelled:
            return None
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # they hold images and caches
            if not is_shortage(error):
                return error
            shortage = str(error)
        try:  # outside the except block, which holds the error
            self.clear_caches()
            free_unused(self.model.device)
            return RequestError(describe_shortage(shortage, self.model.device))
        except Exception as error:  # a device that failed may refuse even this
            return error

    def _generate(self, answer: Answer) -> None:
        answer.started_at = time.perf_counter()
        torch.set_num_threads(self.threads)  # for images and prompt; see _count_token
        generate(
            answer,
            self.model,
            self.vision_cache,
            self.prefix_cache,
            self.adapters,
            Path(self.name).name,
            self._count_token,
        )

    def _prepare_ahead(self, answer: Answer) -> bool:
        """Prepare one image of a request that is next in the queue; return whether one was left."""
        position, _ = self._queue.position(answer)
        return 0 < position <= PREPARED_AHEAD and answer.images.prepare_next()

    def _count_token(self, input_ids: torch.Tensor, scores: object) -> torch.Tensor:
        self.new_tokens += 1
        if self.decodes_on_one_thread:
            torch.set_num_threads(1)
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    def _read(self, answer: Answer) -> Iterator[Chunk]:
        while True:
            is_idle = not self._prepare_ahead(answer)
            try:
                text = answer.streamer.read(timeout=HEARTBEAT_INTERVAL if is_idle else 0)
            except queue.Empty:
                # `generate` ends its streamer only when it succeeds
                if answer.finished.is_set() and answer.streamer.is_empty():
                    return
                if answer.stop.is_set() and answer.new_tokens == 0:
                    return  # no need to wait for its turn, or for a layer's end
                text = ""
            progress = answer.progress or Progress("waiting", *self._queue.position(answer))
            if text:  # it may arrive before the progress is updated
                progress = ANSWERING
            yield Chunk(
                text,
                phase=progress.phase,
                number=progress.number,
                total=progress.total,
                written=answer.streamer.take_written() if text else (),
            )
            if answer.streamer.is_ended:
                return
            if is_idle:
                answer.finished.wait(READ_INTERVAL)


def explain_failure(error: BaseException) -> str:
    """Return in words why an answer failed; some errors have no message of their own."""
    kind = type(error).__name__
    reason = f"{kind}: {error}" if str(error) else kind
    advice = " The GPU may need a restart of the app." if "CUDA" in reason else ""
    return f"Generating the answer failed ({reason}).{advice}"
