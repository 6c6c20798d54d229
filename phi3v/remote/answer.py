"""One answer as its pieces arrive: text, tokens, times, repetition, and the figures at its end."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

from phi3v.conversation.checkpoint_processor import CheckpointProcessor
from phi3v.conversation.prompt import Prompt
from phi3v.conversation.repetition import WINDOW, find_loop
from phi3v.remote.asking import Delta
from phi3v.request import FinishReason, Statistics, Token

# Pieces between two searches for repetition.
REPETITION_INTERVAL: Final = 16
# The text is searched, which takes some 3 ms, only if its last characters occurred before.
REPETITION_TAIL: Final = 12


@dataclass
class RemoteAnswer:
    """The state of one answer; is_cut_off is True once its server failed in the middle."""

    ends_loops: bool
    stop: threading.Event
    requested_at: float = field(default_factory=time.perf_counter)
    sent_at: float = 0.0
    first_token_at: float = 0.0
    last_token_at: float = 0.0
    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    pieces: int = 0
    server_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    is_repeating: bool = False
    is_cut_off: bool = False

    @property
    def has_begun(self) -> bool:
        """True once there is a token, so that it cannot begin again elsewhere."""
        return self.pieces > 0

    @property
    def is_over(self) -> bool:
        """True once no more of it is wanted."""
        return self.stop.is_set() or self.is_repeating

    def add(self, delta: Delta) -> str:
        """Add a piece and return its text; what follows a repetition is left out."""
        self.usage |= delta.usage or {}
        self.server_reason = delta.finish_reason or self.server_reason
        if self.is_over:
            return ""
        if delta.text or delta.tokens:
            self.last_token_at = delta.arrived_at
            if not self.has_begun:
                self.first_token_at = self.last_token_at
            self.pieces += 1
            self.text += delta.text
            self.tokens += delta.tokens
        is_cut = self.server_reason == "length"
        if self.ends_loops and (is_cut or self.pieces % REPETITION_INTERVAL == 0):
            self.is_repeating = self._repeats(is_cut)
        return delta.text

    def _repeats(self, is_cut: bool) -> bool:
        recent = self.text[-2 * WINDOW :]
        tail = recent[-REPETITION_TAIL:]
        if not is_cut and recent.find(tail) == len(recent) - len(tail):
            return False
        return find_loop(recent, is_cut) is not None

    def finish_reason(self) -> FinishReason:
        """Return why it ended."""
        if self.is_repeating:
            return "loop"
        if self.server_reason == "length":
            return "length"
        if self.server_reason is not None:
            return "end"
        return "interrupted" if self.is_cut_off else "stopped"

    def statistics(self, prompt: Prompt | None, processor: CheckpointProcessor) -> Statistics:
        """Return the figures: the server's counts where it gave them, else those made here.

        prompt is None if the answer was stopped before it was rendered.
        """
        counted = len(processor.tokenizer.encode(self.text)) - 1 if self.text else 0  # its BOS
        seconds = self.last_token_at - self.first_token_at
        new_tokens = read_count(self.usage.get("completion_tokens")) or counted
        details = self.usage.get("prompt_tokens_details") or {}
        return Statistics(
            prompt_tokens=read_count(self.usage.get("prompt_tokens"))
            or (prompt.prompt_tokens if prompt else 0),
            image_tokens=prompt.image_tokens if prompt else 0,
            new_tokens=new_tokens,
            time_to_first_token=max(0.0, self.first_token_at - self.requested_at),
            tokens_per_second=max(0, new_tokens - 1) / seconds if seconds > 0 else 0.0,
            finish_reason=self.finish_reason(),
            reused_tokens=read_count(details.get("cached_tokens")),
            prompt_time=max(0.0, self.first_token_at - self.sent_at),
        )


def read_count(value: Any) -> int:
    """Return a server's count; 0 for what is none."""
    return value if isinstance(value, int) and value > 0 else 0
