"""One answer from the thread that generates it, token by token, to the thread that reads its text.

Knows tokens, text and statistics; knows nothing of the model. Legend: B batch, T tokens.
"""

import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedTokenizerFast,
    StoppingCriteria,
    TextIteratorStreamer,
)

from phi3v.conversation.detokenizer import IncrementalDetokenizer
from phi3v.conversation.prompt import Prompt
from phi3v.conversation.repetition import WINDOW, find_loop
from phi3v.inference.cancellation import Cancelled
from phi3v.inference.image_preparation import RequestImages
from phi3v.inference.token_probabilities import TokenProbabilities
from phi3v.request import FinishReason, Phase, Statistics, Token

# Tokens between two searches for repetition.
REPETITION_INTERVAL = 16
# The text is searched, which takes some 4 ms, only if this many last tokens occurred before; or,
# because lists that count have new numbers in each line, once in COUNTED_INTERVAL tokens.
REPETITION_TAIL = 8
COUNTED_INTERVAL = 128


@dataclass(frozen=True)
class Progress:
    """A phase of an answer, with the number of the image it works on and of how many."""

    phase: Phase
    number: int = 0
    total: int = 0


ANSWERING = Progress("answering")


class AnswerStreamer(TextIteratorStreamer):
    """A TextIteratorStreamer that detokenizes in the reading thread.

    The base class detokenizes in the generating thread, which costs a small model a tenth of its
    time. `prefix` are the tokens of an answer that is continued, `textless` those that have no
    text although they are not special: the request's own stop tokens. `probabilities` records each
    token's before its text can be read.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        prefix: Iterable[int] = (),
        textless: Iterable[int] = (),
        probabilities: TokenProbabilities | None = None,
    ) -> None:
        super().__init__(tokenizer, skip_prompt=True)
        self.text_queue: Any = queue.SimpleQueue()  # quicker to put into
        self.next_tokens_are_prompt = True
        self.detokenizer = IncrementalDetokenizer(tokenizer, prefix)
        self.textless = frozenset(textless)
        self.probabilities = probabilities
        self.ids: list[int] = []  # of the tokens that were read
        self.taken = 0  # of them were taken
        self.is_ended = False

    def put(self, value: torch.Tensor) -> None:
        """Queue a new token (1,); the first call, with the prompt (1, T), is skipped."""
        if self.next_tokens_are_prompt:
            self.next_tokens_are_prompt = False
        else:
            tokens = value.tolist()
            if self.probabilities is not None:
                self.probabilities.record(tokens[-1])
            self.text_queue.put(tokens)

    def end(self) -> None:
        """Queue the end of the answer."""
        self.text_queue.put(self.stop_signal)

    def is_empty(self) -> bool:
        """True if no token is queued."""
        return self.text_queue.empty()

    def read(self, timeout: float | None) -> str:
        """Return the text completed by all queued tokens, which may be empty.

        Waits up to `timeout` seconds for the first token, None for ever. Raises queue.Empty.
        """
        parts = [self.text_queue.get(timeout=timeout)]
        while not self.text_queue.empty():
            parts.append(self.text_queue.get())
        self.is_ended = parts[-1] is self.stop_signal
        tokens = [token for part in parts if part is not self.stop_signal for token in part]
        kept = [token for token in tokens if token not in self.textless]
        self.ids += kept
        text = "".join(map(self.detokenizer.add, kept))
        return text + self.detokenizer.finish() if self.is_ended else text

    def take_written(self) -> tuple[Token, ...]:
        """Return the tokens of the text read since the last call; () without probabilities.

        A token after the last with text may yet get one, and is left for later.
        """
        if self.probabilities is None:
            return ()
        texts = self.detokenizer.token_texts
        end = len(texts)
        while end > self.taken and not texts[end - 1]:
            end -= 1
        new = slice(self.taken, end)
        self.taken = end
        return tuple(map(Token, self.ids[new], texts[new], self.probabilities.values[new]))

    def __next__(self) -> str:
        """Return the next text as `read` does; the iteration stops with the answer."""
        if self.is_ended:
            raise StopIteration
        return self.read(self.timeout)


@dataclass(eq=False)
class Answer(StoppingCriteria):
    """State of one answer, shared by the thread that generates and the one that reads.

    `generate` calls it after each token as a stopping criterion: it counts, takes times, and ends
    the loop once the reader has left (`abandoned`) or asked for the end (`stop`). progress is None
    while the request is queued.
    """

    prompt: Prompt
    input_ids: torch.Tensor  # (1, T)
    images: RequestImages
    config: GenerationConfig
    seed: int | None
    streamer: AnswerStreamer
    stop: threading.Event
    requested_at: float
    ends_loops: bool = True
    probabilities: TokenProbabilities | None = None
    adapter: str = ""
    is_repeating: bool = False
    new_ids: list[int] = field(default_factory=list)
    abandoned: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)
    progress: Progress | None = None
    error: BaseException | None = None
    reused_tokens: int = 0
    started_at: float = 0.0
    peak_memory: int | None = None
    new_tokens: int = 0
    last_token: int = -1
    first_token_at: float = 0.0
    last_token_at: float = 0.0

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        """Record the new token; True, for each row of ids (B, T), ends generation."""
        if self.finish_reason() == "stopped":  # on MPS generation runs one token past its end
            self.last_token_at = time.perf_counter()
            if self.new_tokens == 0:
                self.first_token_at = self.last_token_at
                self.progress = ANSWERING
            self.new_tokens += 1
            self._record(int(input_ids[0, -1]))
        is_done = self.is_cancelled or self.is_repeating
        return torch.full((len(input_ids),), is_done, device=input_ids.device)

    def _record(self, token: int) -> None:
        self.last_token = token
        self.new_ids.append(token)
        is_cut = self.new_tokens == self.config.max_new_tokens
        if self.ends_loops and (is_cut or self.new_tokens % REPETITION_INTERVAL == 0):
            # the last WINDOW tokens have at least WINDOW characters
            ids = self.new_ids[-WINDOW:]
            is_due = is_cut or self.new_tokens % COUNTED_INTERVAL == 0
            if is_due or repeats_tail(ids):
                text = self.streamer.detokenizer.decode(ids)
                self.is_repeating = find_loop(text, is_cut) is not None

    @property
    def is_cancelled(self) -> bool:
        """True once the reader stopped or left."""
        return self.abandoned.is_set() or self.stop.is_set()

    def begin(self, phase: Phase, index: int | None = None) -> None:
        """Report the start of a phase, or of the work on the image at `index` in it.

        Raises Cancelled if nobody waits for the answer.
        """
        self.raise_if_cancelled()
        image = () if index is None else (index + 1, self.images.total)
        self.progress = Progress(phase, *image)

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled if nobody waits for the answer and it has no token yet."""
        if self.is_cancelled and self.new_tokens == 0:
            raise Cancelled

    def statistics(self) -> Statistics:
        """Return the statistics so far; times count from the request, queueing included."""
        decoding_seconds = self.last_token_at - self.first_token_at
        return Statistics(
            prompt_tokens=self.prompt.prompt_tokens,
            image_tokens=self.prompt.image_tokens,
            new_tokens=self.new_tokens,
            time_to_first_token=max(0.0, self.first_token_at - self.requested_at),
            tokens_per_second=(self.new_tokens - 1) / decoding_seconds if decoding_seconds else 0.0,
            finish_reason=self.finish_reason(),
            reused_tokens=self.reused_tokens,
            prompt_time=max(0.0, self.first_token_at - self.started_at),
            peak_memory=self.peak_memory,
            adapter=self.adapter,
        )

    def logits_processors(self) -> dict[str, LogitsProcessorList]:
        """Return the arguments of `generate` that record probabilities, if they are wanted."""
        processor = self.probabilities
        return {"logits_processor": LogitsProcessorList([processor])} if processor else {}

    def tokens(self) -> tuple[Token, ...]:
        """Return the tokens whose text was read, without the one that ended the answer."""
        ids = self.new_ids[:-1] if self.finish_reason() == "end" else self.new_ids
        values = self.probabilities.values if self.probabilities else [None] * len(ids)
        return tuple(map(Token, ids, self.streamer.detokenizer.token_texts, values))

    def finish_reason(self) -> FinishReason:
        """Return why it ended: a stop token, repetition, its token limit, or the reader."""
        if self.last_token in self.config.eos_token_id:
            return "end"
        if self.is_repeating:
            return "loop"
        return "length" if self.new_tokens == self.config.max_new_tokens else "stopped"


def repeats_tail(ids: list[int]) -> bool:
    """True if the last tokens occurred before, in this order."""
    data = np.array(ids, np.int32).tobytes()
    return data.find(data[-4 * REPETITION_TAIL :]) < len(data) - 4 * REPETITION_TAIL
