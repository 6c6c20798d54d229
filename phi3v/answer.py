"""An answer on its way: from the thread that generates, token by token, to the one that reads text.

Knows tokens, text and figures; knows nothing of the network.
"""

import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedTokenizerFast,
    StoppingCriteria,
)
from transformers.generation.streamers import BaseStreamer

from phi3v.confidence import ChosenProbabilities
from phi3v.interruption import Interrupted
from phi3v.loops import WINDOW, find_loop
from phi3v.preparing import Pictures
from phi3v.prompt import Prompt
from phi3v.request import FinishReason, Phase, Statistics, Token
from phi3v.spelling import Speller

# An answer is looked through for loops after every so many tokens.
LOOP_INTERVAL = 16
# A loop's last tokens stand there before; only then is its text looked at, which takes some 2 ms.
LOOP_TAIL = 8


@dataclass(frozen=True)
class Progress:
    """What is being done for an answer, and with which of how many images, if with one."""

    phase: Phase
    number: int = 0
    total: int = 0


ANSWERING = Progress("answering")


class ReaderStreamer(BaseStreamer):
    """A streamer whose text is made by the thread that reads it.

    The thread that generates only puts its tokens down; making text of them would cost a small
    network a tenth of its time. before are the tokens of an answer that is gone on with.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, before: Iterable[int] = ()) -> None:
        self.speller = Speller(tokenizer, before)
        self.is_ended = False
        self._is_prompt = True
        self._parts: queue.SimpleQueue[list[int] | None] = queue.SimpleQueue()

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt (1, T), which is left out, or a new token (1,)."""
        if self._is_prompt:
            self._is_prompt = False
        else:
            self._parts.put(value.tolist())

    def end(self) -> None:
        """Take note that no token follows."""
        self._parts.put(None)

    def is_empty(self) -> bool:
        """Whether nothing waits to be read."""
        return self._parts.empty()

    def read(self, timeout: float) -> str:
        """The text that became whole since the last call, which may be none.

        Waits up to `timeout` seconds for a token; raises queue.Empty where none comes.
        """
        parts = [self._parts.get(timeout=timeout)]
        while not self._parts.empty():
            parts.append(self._parts.get())
        self.is_ended = parts[-1] is None
        tokens = [token for part in parts if part is not None for token in part]
        return "".join(map(self.speller.add, tokens))


@dataclass(eq=False)
class Answer(StoppingCriteria):
    """An answer on its way from the thread that generates to the one that reads.

    As a stopping criterion it is called after every new token: it counts, keeps the times, and
    ends `generate` once the reader is gone (`abandoned`) or has asked for the end (`stop`).
    progress is None until its turn has come.
    """

    prompt: Prompt
    input_ids: torch.Tensor  # (1, T)
    pictures: Pictures
    config: GenerationConfig
    seed: int | None
    streamer: ReaderStreamer
    stop: threading.Event
    asked_at: float
    ends_loops: bool = True
    probabilities: ChosenProbabilities | None = None
    is_looping: bool = False
    new_ids: list[int] = field(default_factory=list)
    abandoned: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)
    progress: Progress | None = None
    error: Exception | None = None
    reused_tokens: int = 0
    begun_at: float = 0.0
    peak_memory: int | None = None
    new_tokens: int = 0
    last_token: int = -1
    first_token_at: float = 0.0
    last_token_at: float = 0.0

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        """Count the token just made; True, for each of the B rows, ends the loop."""
        if self.finish_reason() == "stopped":  # on MPS the loop runs one token past its end
            self.last_token_at = time.perf_counter()
            if self.new_tokens == 0:
                self.first_token_at = self.last_token_at
                self.progress = ANSWERING
            self.new_tokens += 1
            self._note(int(input_ids[0, -1]))
        is_over = self.is_unwanted or self.is_looping
        return torch.full((len(input_ids),), is_over, device=input_ids.device)

    def _note(self, token: int) -> None:
        self.last_token = token
        self.new_ids.append(token)
        if self.probabilities is not None:
            self.probabilities.note(token)
        is_cut = self.new_tokens == self.config.max_new_tokens
        if self.ends_loops and (is_cut or self.new_tokens % LOOP_INTERVAL == 0):
            ids = self.new_ids[-WINDOW:]
            # a tokenizer's tokens have a character or more, seen as a whole
            if is_cut or repeats_tail(ids):
                self.is_looping = find_loop(self.streamer.speller.spell(ids), is_cut) is not None

    @property
    def is_unwanted(self) -> bool:
        """Whether nobody waits for more of this answer."""
        return self.abandoned.is_set() or self.stop.is_set()

    def begin(self, phase: Phase, index: int | None = None) -> None:
        """Take note of what is done now, with the image of this index, where it is with one.

        Raises Interrupted where nobody waits for it.
        """
        self.check()
        image = () if index is None else (index + 1, self.pictures.total)
        self.progress = Progress(phase, *image)

    def check(self) -> None:
        """Raise Interrupted where nobody waits for more and no token is there."""
        if self.is_unwanted and self.new_tokens == 0:
            raise Interrupted

    def statistics(self) -> Statistics:
        """The figures so far; times count from the moment of asking, waiting included."""
        decoding_seconds = self.last_token_at - self.first_token_at
        return Statistics(
            prompt_tokens=self.prompt.prompt_tokens,
            image_tokens=self.prompt.image_tokens,
            new_tokens=self.new_tokens,
            time_to_first_token=max(0.0, self.first_token_at - self.asked_at),
            tokens_per_second=(self.new_tokens - 1) / decoding_seconds if decoding_seconds else 0.0,
            finish_reason=self.finish_reason(),
            reused_tokens=self.reused_tokens,
            prompt_time=max(0.0, self.first_token_at - self.begun_at),
            peak_memory=self.peak_memory,
        )

    def watching(self) -> dict[str, LogitsProcessorList]:
        """What `generate` is given besides where the request asks for probabilities."""
        watcher = self.probabilities
        return {"logits_processor": LogitsProcessorList([watcher])} if watcher else {}

    def tokens(self) -> tuple[Token, ...]:
        """The tokens whose text was read, without the one that ended the answer."""
        ids = self.new_ids[:-1] if self.finish_reason() == "end" else self.new_ids
        values = self.probabilities.values if self.probabilities else [None] * len(ids)
        return tuple(map(Token, ids, self.streamer.speller.pieces, values))

    def finish_reason(self) -> FinishReason:
        """Why it ended: by the network, by repeating itself, at its limit, or by the reader."""
        if self.last_token in self.config.eos_token_id:
            return "end"
        if self.is_looping:
            return "loop"
        return "length" if self.new_tokens == self.config.max_new_tokens else "stopped"


def repeats_tail(ids: list[int]) -> bool:
    """Whether the last tokens stood there before, in this order."""
    data = np.array(ids, np.int32).tobytes()
    return data.find(data[-4 * LOOP_TAIL :]) < len(data) - 4 * LOOP_TAIL
