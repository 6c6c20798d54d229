"""One answer at a time: a background thread generates, the caller reads text as it comes.

Gets model and processor as arguments; knows nothing of pages, flags or files of weights.
"""

import logging
import queue
import threading
import time
from collections.abc import Generator, Iterator

import numpy as np
import torch
from PIL import Image
from transformers import GenerationConfig, StoppingCriteriaList

from phi3v.answer import Answer, ReaderStreamer
from phi3v.checkpoint import EMBEDDED, free_memory, load_checkpoint
from phi3v.confidence import ChosenProbabilities
from phi3v.memory import begin_peak, describe_shortage, is_shortage, read_peak, release
from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from phi3v.model.image_processing import crop_grid
from phi3v.model.replay import Replays
from phi3v.pace import Pace
from phi3v.prompt import build_prompt
from phi3v.request import Chunk, Request, RequestError, Sampling, Turn
from phi3v.reuse import Reuse, as_encoded

logger = logging.getLogger(__name__)

# While there is no new text the stream yields an empty chunk this often, in seconds: a page can
# only end a stream that is waiting for its next chunk, not one that is busy.
SIGN_OF_LIFE_INTERVAL = 0.2

# Text is made this often at most, in seconds: more often than anyone sees, and rarely enough not
# to take the thread that generates its time.
READ_INTERVAL = 0.02

# A network of fewer parameters computes faster on one thread of a CPU: its products are over
# before a second thread has begun. Seen with the embedded checkpoint's sizes on two busy cores.
SMALL_NETWORK_PARAMETERS = 50_000_000

# What an engine keeps for the next requests unless told otherwise, in bytes.
DEFAULT_REUSE_BYTES = 500_000_000
# The share of a GPU's memory, free after loading, that is kept for it; a conversation with the
# published sizes takes 384 KiB a token. A computer's own memory is for other programs too.
SHARE_OF_GPU_MEMORY = 1 / 4
# The share of that for the conversation that is being decoded by recorded steps.
SHARE_OF_REPLAYS = 1 / 2


class GenerationError(RuntimeError):
    """Generating failed; the reason is its `__cause__`."""


class Engine:
    """Answers requests with one network, one after the other in the order of arrival.

    Pictures and beginnings of conversations that were seen before are not computed again, as far
    as `reuse_bytes` hold what was kept of them. `replay_bytes` are for keys and values at the
    places of recorded steps (see phi3v.model.replay); 0 records none. new_tokens counts every
    token its network ever decoded, whether or not somebody read it.
    """

    def __init__(
        self,
        model: Phi3VForCausalLM,
        processor: Phi3VProcessor,
        name: str,
        reuse_bytes: int = DEFAULT_REUSE_BYTES,
        replay_bytes: int = 0,
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.name = name
        self.new_tokens = 0
        replays = Replays(model.model, replay_bytes) if replay_bytes else None
        self.pace = Pace()
        self.reuse = Reuse(model, processor, reuse_bytes, replays)
        self._waiting: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the network's weights."""
        return self.model.dtype

    @property
    def context_length(self) -> int:
        """The most tokens that prompt and answer may have together."""
        return int(self.model.config.max_position_embeddings)

    @property
    def is_embedded(self) -> bool:
        """Whether this is the small network that comes with the project."""
        return self.name == EMBEDDED

    def stop_token_ids(self) -> list[int]:
        """The ids that end an answer: the config's, the tokenizer's, and the chat format's."""
        of_config = self.model.config.eos_token_id
        tokenizer = self.processor.tokenizer
        of_chat = tokenizer.convert_tokens_to_ids(["<|end|>", "<|endoftext|>"])
        ids = {tokenizer.eos_token_id, *of_chat}
        return sorted(ids.union(of_config if isinstance(of_config, list) else [of_config]))

    def stream(
        self, request: Request, stop: threading.Event | None = None
    ) -> Generator[Chunk, None, None]:
        """Answer a request: text as it comes, then one chunk with the statistics.

        A chunk without text is a sign of life. Setting `stop` ends the answer within one token,
        with its statistics; closing the iterator does the same without. Raises RequestError before
        any work where the request cannot be answered and later where the memory does not suffice,
        GenerationError where generating fails.
        """
        answer = self._prepare(request, stop or threading.Event())
        self._start(answer)
        try:
            yield from self._read(answer)
        finally:
            answer.abandoned.set()
        if isinstance(answer.error, RequestError):
            raise answer.error
        if answer.error is not None:
            raise GenerationError(f"Generating the answer failed: {answer.error}") from answer.error
        statistics = answer.statistics()
        self.pace.note(statistics)
        logger.info("%s", statistics)
        yield Chunk("", statistics, tokens=answer.tokens())

    def warm_up(self) -> None:
        """Answer a small question, so that what is chosen, built or recorded once is there."""
        turns = (Turn("user", "Hello", (Image.new("RGB", (336, 336)),)),)
        for _ in self.stream(Request(turns, Sampling(max_new_tokens=4), num_crops=1)):
            pass

    def _prepare(self, request: Request, stop: threading.Event) -> Answer:
        asked_at = time.perf_counter()
        prompt = build_prompt(request, self.processor, self.context_length)
        pictures = tuple(self.reuse.prepare(image, prompt.num_crops) for image in prompt.images)
        grids = [crop_grid(*image.size, prompt.num_crops) for image in prompt.images]
        ids = [*self.processor.tokenize(prompt.text, grids), *prompt.answer_ids]
        sampling = request.sampling
        is_random = sampling.temperature > 0
        config = GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            do_sample=is_random,
            temperature=sampling.temperature if is_random else None,
            top_p=sampling.top_p if is_random else None,
            top_k=0 if is_random else None,
            eos_token_id=self.stop_token_ids(),
            pad_token_id=self.processor.tokenizer.pad_token_id,
        )
        return Answer(
            prompt,
            torch.tensor([ids]),
            pictures,
            config,
            sampling.seed,
            ReaderStreamer(self.processor.tokenizer, prompt.answer_ids),
            stop,
            asked_at,
            request.ends_loops,
            ChosenProbabilities() if request.wants_probabilities else None,
        )

    def _start(self, answer: Answer) -> None:
        """Hand the answer to the one thread that generates, starting it if there is none.

        A thread does not survive a fork (a hosted Space forks its workers); then, a new one and a
        new queue serve the child.
        """
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._waiting = queue.SimpleQueue()
                self._thread = threading.Thread(
                    target=self._generate_forever, name="phi3v-generate", daemon=True
                )
                self._thread.start()
            self._waiting.put(answer)

    def _generate_forever(self) -> None:
        is_small = self.model.num_parameters() < SMALL_NETWORK_PARAMETERS
        if self.device.type == "cpu" and is_small:
            torch.set_num_threads(1)
        while True:
            answer = self._waiting.get()
            shortage = ""
            try:
                answer.has_begun = True
                if not answer.is_unwanted:
                    self._generate(answer)
            except Exception as error:  # whatever it is, it belongs to the reader
                if is_shortage(error):
                    shortage = str(error)
                else:
                    answer.error = error
            if shortage:  # only now: the error itself held on to what did not fit
                self.reuse.forget()
                release(self.device)
                answer.error = RequestError(describe_shortage(shortage, self.device))
            answer.finished.set()
            del answer  # or its images would stay until the next request

    def _generate(self, answer: Answer) -> None:
        if answer.config.do_sample:
            torch.manual_seed(answer.seed) if answer.seed is not None else torch.seed()
        answer.begun_at = time.perf_counter()
        if self.device.index is not None and self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # streams and recorded steps take the current one
        begin_peak(self.device)
        with torch.inference_mode():
            features = self.reuse.encode(answer.pictures)
            key = self.reuse.identify(answer.input_ids, answer.pictures)
            cache = self.reuse.find_prefix(key)
            answer.reused_tokens = cache.get_seq_length()
            input_ids = answer.input_ids.to(self.model.device)
            sequence = self.model.generate(
                input_ids,
                attention_mask=torch.ones_like(input_ids),
                mm_encoder_outputs=as_encoded(features),
                past_key_values=cache,
                generation_config=answer.config,
                streamer=answer.streamer,
                stopping_criteria=StoppingCriteriaList([self._count_token, answer]),
                **answer.watching(),
            )
            new_ids = sequence[0, len(key) :].cpu().numpy()
            self.reuse.keep_prefix(np.concatenate([key, new_ids]), cache)
        answer.peak_memory = read_peak(self.device)

    def _count_token(self, input_ids: torch.Tensor, scores: object) -> torch.Tensor:
        self.new_tokens += 1
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    def _read(self, answer: Answer) -> Iterator[Chunk]:
        while True:
            try:
                text = answer.streamer.read(timeout=SIGN_OF_LIFE_INTERVAL)
            except queue.Empty:
                # `generate` ends its streamer only when it succeeds
                if answer.finished.is_set() and answer.streamer.is_empty():
                    return
                if answer.stop.is_set() and answer.new_tokens == 0:
                    return  # it has not begun: no need to wait for its turn
                text = ""
            yield Chunk(text, phase="answering" if answer.has_begun else "waiting")
            if answer.streamer.is_ended:
                return
            answer.finished.wait(READ_INTERVAL)


def load(
    name: str = EMBEDDED,
    device: str = "auto",
    dtype: str = "auto",
    attention: str = "auto",
    reuse_bytes: int | None = None,
    quantize: str = "none",
    replay: bool = True,
) -> Engine:
    """An engine for a checkpoint: "embedded", a directory, or an id on the Hugging Face hub.

    reuse_bytes is how much it may keep for later requests; None is a quarter of what is free on a
    GPU, and 500 MB elsewhere. quantize, "8bit" or "4bit", makes the language model's weights
    smaller, on CUDA. replay=False records no steps where they could be. The other arguments and
    the errors are load_checkpoint's.
    """
    model, processor = load_checkpoint(name, device, dtype, attention, quantize)
    if reuse_bytes is None:
        is_gpu = model.device.type != "cpu"
        free = free_memory(model.device) if is_gpu else 0
        reuse_bytes = int(free * SHARE_OF_GPU_MEMORY) if is_gpu else DEFAULT_REUSE_BYTES
    problem = choose_replay(model.device, quantize, replay)
    logger.info("Tokens are decoded %s.", problem or "by recorded steps (CUDA graphs)")
    replay_bytes = 0 if problem else int(reuse_bytes * SHARE_OF_REPLAYS)
    return Engine(model, processor, name, reuse_bytes - replay_bytes, replay_bytes)


def choose_replay(device: torch.device, quantize: str, replay: bool) -> str:
    """Why steps are not recorded, as the end of a sentence; empty where they are."""
    if device.type != "cuda":
        return f"one operation at a time: there are no CUDA graphs on {device.type}"
    if quantize != "none":
        return "one operation at a time: weights of fewer bits cannot be recorded"
    return "" if replay else "one operation at a time: the GPU is lent for one answer only"
