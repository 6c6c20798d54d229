"""One answer at a time: a background thread generates, the caller reads text as it comes.

Gets model and processor as arguments; knows nothing of pages, flags or files of weights.
"""

import logging
import queue
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import cached_property, partial

import numpy as np
import torch
from PIL import Image
from transformers import GenerationConfig, StoppingCriteriaList

from phi3v.answer import ANSWERING, Answer, Progress, ReaderStreamer
from phi3v.checkpoint import EMBEDDED
from phi3v.confidence import ChosenProbabilities
from phi3v.interruption import Interrupted, checking_layers
from phi3v.line import Line
from phi3v.memory import begin_peak, describe_shortage, is_shortage, read_peak, release
from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from phi3v.model.image_processing import crop_grid
from phi3v.model.replay import Replays
from phi3v.pace import Pace
from phi3v.preparing import Pictures
from phi3v.prompt import build_prompt
from phi3v.request import Chunk, Request, RequestError, Sampling, Turn
from phi3v.reuse import Picture, Reuse, as_encoded

logger = logging.getLogger(__name__)

# While there is no new text the stream yields an empty chunk this often, in seconds: a page can
# only end a stream that is waiting for its next chunk, not one that is busy.
SIGN_OF_LIFE_INTERVAL = 0.2

# Text is made this often at most, in seconds: more often than anyone sees, and rarely enough not
# to take the thread that generates its time.
READ_INTERVAL = 0.05

# So many of those that wait have their pictures opened and cut into crops, while another answer is
# being decoded; those behind them keep no pixels. 23 MB for each picture at 16 crops, and the
# picture itself: 3 bytes a pixel.
PREPARED_AHEAD = 2

# A network of fewer parameters decodes faster on one thread of a CPU: a token's products are over
# before a second thread has begun. Seen with the embedded checkpoint's sizes on two busy cores.
SMALL_NETWORK_PARAMETERS = 50_000_000

# What an engine keeps for the next requests unless told otherwise, in bytes.
DEFAULT_REUSE_BYTES = 500_000_000


class GenerationError(RuntimeError):
    """Generating failed; the reason is its `__cause__`."""


class Engine:
    """Answers requests with one network, one after the other in the order of arrival.

    Pictures and beginnings of conversations that were seen before are not computed again, as far
    as `reuse_bytes` hold what was kept of them. `replay_bytes` are for keys and values at the
    places of recorded steps (see phi3v.model.replay); 0 records none. new_tokens counts every
    token its network ever decoded, whether or not somebody read it; threads are those that a CPU
    reads pictures and prompts with, as many as torch had when the engine was made.
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
        self.threads = torch.get_num_threads()
        replays = Replays(model.model, replay_bytes) if replay_bytes else None
        self.pace = Pace()
        self.reuse = Reuse(model, processor, reuse_bytes, replays)
        self._line: Line[Answer] = Line()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        # Many who arrive at once open their pictures in turns, or those would fill the memory.
        self._opening = threading.Lock()

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

        A chunk without text is a sign of life, and says what is going on. Setting `stop` ends the
        answer within one token, or one layer of the network while there is none, with its
        statistics; closing the iterator does the same without. Raises RequestError before any
        waiting where the request cannot be answered and later where the memory does not suffice,
        GenerationError where generating fails.
        """
        answer = self._open(request, stop or threading.Event())
        self._start(answer)
        try:
            yield from self._read(answer)
        finally:
            answer.abandoned.set()
            self._line.leave(answer)
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

    def _open(self, request: Request, stop: threading.Event) -> Answer:
        asked_at = time.perf_counter()
        with self._opening:
            prompt = build_prompt(request, self.processor, self.context_length)
        sources = [image for turn in request.turns for image in turn.images]
        prepare = partial(self.reuse.prepare, num_crops=prompt.num_crops)
        pictures = Pictures(sources, prompt.images, prepare)
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
            replace(prompt, images=()),
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
        new line serve the child.
        """
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._line = Line()
                self._thread = threading.Thread(
                    target=self._generate_forever, name="phi3v-generate", daemon=True
                )
                self._thread.start()
            self._line.join(answer)
        if self._line.place(answer)[0] > PREPARED_AHEAD:
            answer.pictures.close()

    @cached_property
    def decodes_on_one_thread(self) -> bool:
        """Whether the network is so small that a second thread of a CPU rather delays it."""
        is_small = self.model.num_parameters() < SMALL_NETWORK_PARAMETERS
        return self.device.type == "cpu" and is_small

    def _generate_forever(self) -> None:
        while True:
            answer = self._line.take()
            shortage = ""
            try:
                self._generate(answer)
            except Interrupted:
                pass
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
        answer.begun_at = time.perf_counter()
        torch.set_num_threads(self.threads)  # for pictures and prompt; see _count_token
        pictures = self._take_pictures(answer)
        if answer.config.do_sample:
            torch.manual_seed(answer.seed) if answer.seed is not None else torch.seed()
        if self.device.index is not None and self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # streams and recorded steps take the current one
        begin_peak(self.device)
        with torch.inference_mode(), checking_layers(self.model, answer.check):
            features = self.reuse.encode(pictures, partial(answer.begin, "encoding"))
            key = self.reuse.identify(answer.input_ids, pictures)
            del pictures  # their crops are not needed while the answer is decoded
            answer.begin("prefill")
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

    def _take_pictures(self, answer: Answer) -> tuple[Picture, ...]:
        """The answer's pictures, prepared as far as nobody has done it meanwhile."""
        answer.check()
        while answer.pictures.prepare_next(partial(answer.begin, "preparing")):
            pass
        return answer.pictures.take()

    def _prepare_ahead(self, answer: Answer) -> bool:
        """Prepare one picture of an answer whose turn comes soon; whether there was one left."""
        place, _ = self._line.place(answer)
        return 0 < place <= PREPARED_AHEAD and answer.pictures.prepare_next()

    def _count_token(self, input_ids: torch.Tensor, scores: object) -> torch.Tensor:
        self.new_tokens += 1
        if self.decodes_on_one_thread:
            torch.set_num_threads(1)
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    def _read(self, answer: Answer) -> Iterator[Chunk]:
        while True:
            has_time = not self._prepare_ahead(answer)
            try:
                text = answer.streamer.read(timeout=SIGN_OF_LIFE_INTERVAL if has_time else 0)
            except queue.Empty:
                # `generate` ends its streamer only when it succeeds
                if answer.finished.is_set() and answer.streamer.is_empty():
                    return
                if answer.stop.is_set() and answer.new_tokens == 0:
                    return  # no need to wait for its turn, or for a layer's end
                text = ""
            progress = answer.progress or Progress("waiting", *self._line.place(answer))
            if text:  # it may be faster than the note that the first token is there
                progress = ANSWERING
            yield Chunk(text, phase=progress.phase, number=progress.number, total=progress.total)
            if answer.streamer.is_ended:
                return
            if has_time:
                answer.finished.wait(READ_INTERVAL)
