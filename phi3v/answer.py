"""An answer on its way: from the thread that generates, token by token, to the one that reads text.

Knows tokens, text and figures; knows nothing of the network.
"""

import queue
import threading
import time
from dataclasses import dataclass, field

import torch
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    StoppingCriteria,
    TextStreamer,
)

from phi3v.prompt import Prompt
from phi3v.request import FinishReason, Statistics
from phi3v.reuse import Picture

# What tokens that hold a line's end have in their names: as a byte, in byte-level alphabets, plain.
LINE_ENDS = ("<0x0A>", "Ċ", "\n")


class ReaderStreamer(TextStreamer):
    """A TextStreamer whose text is made by the thread that reads it.

    The thread that generates only puts its tokens down; making text of them, all of the line's
    again for each, would cost a small network a tenth of its time.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__(
            tokenizer,
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        self.is_ended = False
        self._is_prompt = True
        self._parts: queue.SimpleQueue[list[int] | None] = queue.SimpleQueue()
        self._text = ""

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
        tokens = [token for part in parts if part is not None for token in part]
        # A line's end empties TextStreamer's memory, wherever it comes: one token at a time, then.
        names = "".join(self.tokenizer.convert_ids_to_tokens(tokens))
        has_line_end = any(name in names for name in LINE_ENDS)
        for group in [[token] for token in tokens] if has_line_end else [tokens]:
            super().put(torch.tensor(group, dtype=torch.long))
        if parts[-1] is None:
            super().end()
            self.is_ended = True
        text, self._text = self._text, ""
        return text

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Collect what TextStreamer would print."""
        self._text += text


@dataclass(eq=False)
class Answer(StoppingCriteria):
    """An answer on its way from the thread that generates to the one that reads.

    As a stopping criterion it is called after every new token: it counts, keeps the times, and
    ends `generate` once the reader is gone (`abandoned`) or has asked for the end (`stop`).
    """

    prompt: Prompt
    input_ids: torch.Tensor  # (1, T)
    pictures: tuple[Picture, ...]
    config: GenerationConfig
    seed: int | None
    streamer: ReaderStreamer
    stop: threading.Event
    asked_at: float
    abandoned: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None
    reused_tokens: int = 0
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
            self.new_tokens += 1
            self.last_token = int(input_ids[0, -1])
        return torch.full((len(input_ids),), self.is_unwanted, device=input_ids.device)

    @property
    def is_unwanted(self) -> bool:
        """Whether nobody waits for more of this answer."""
        return self.abandoned.is_set() or self.stop.is_set()

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
        )

    def finish_reason(self) -> FinishReason:
        """Why it ended: the network ended it, the reader stopped it, or it was cut at its limit."""
        if self.last_token in self.config.eos_token_id:
            return "end"
        return "length" if self.new_tokens == self.config.max_new_tokens else "stopped"
