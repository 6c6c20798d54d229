"""Answers in the form of OpenAI's API: whole completions, chunks of streamed ones, usage.

Knows the protocol and chunks; knows nothing of connections.
"""

import json
import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from phi3v.conversation.repetition import cut_repetition
from phi3v.conversation.stop_strings import cut_tokens
from phi3v.request import Chunk, FinishReason, Statistics, Token

# Any other answer is not whole, for which OpenAI has the word "length" alone.
WHOLE: Final[frozenset[FinishReason]] = frozenset({"end", "stopped"})
# What OpenAI sends for a probability of 0, whose logarithm JSON cannot hold.
LOG_OF_ZERO: Final = -9999.0
DONE: Final = "data: [DONE]\n\n"


@dataclass(frozen=True)
class Answer:
    """What all parts of one answer have in common."""

    model: str
    wants_logprobs: bool = False
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def describe(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the object of a completion, or of a chunk, with these choices."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }


def describe_completion(answer: Answer, text: str, last: Chunk) -> dict[str, Any]:
    """Return a whole answer, whose text is what the page shows at its end."""
    statistics = last.statistics
    tokens: Sequence[Token] = last.tokens
    reason: FinishReason = statistics.finish_reason if statistics else "stopped"
    if reason == "loop":
        text = cut_repetition(text)
        tokens = cut_tokens(tokens, len(text))
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "logprobs": describe_logprobs(tokens) if answer.wants_logprobs else None,
        "finish_reason": name_reason(reason),
    }
    completion = answer.describe("chat.completion", [choice])
    return completion | {"usage": statistics and describe_usage(statistics)}


class StreamWriter:
    """Writes a streamed answer's events; each has the log-probabilities of the tokens it ends.

    A token whose text is held back, or that the engine tells only at the end, comes later.
    """

    def __init__(self, answer: Answer, has_usage: bool) -> None:
        self.answer = answer
        self.has_usage = has_usage
        self._length = 0  # characters sent
        self._told = 0  # tokens sent, and the characters of their texts
        self._told_length = 0
        self._waiting: list[Token] = []

    def write_text(self, chunk: Chunk, role: dict[str, str] | None = None) -> str:
        """Return the event of a new piece of an answer, the first with its role; "" for none."""
        self._length += len(chunk.text)
        self._waiting += chunk.written
        if not chunk.text and role is None:
            return ""
        tokens = []
        while self._waiting:
            end = self._told_length + len(self._waiting[0].text)
            if end > self._length:
                break
            self._told_length = end
            tokens.append(self._waiting.pop(0))
        self._told += len(tokens)
        delta = (role or {}) | {"content": chunk.text}
        return self._write_choice(delta, tokens, None)

    def write_end(self, last: Chunk) -> str:
        """Return the events after an answer's text."""
        statistics = last.statistics
        reason: FinishReason = statistics.finish_reason if statistics else "stopped"
        end = self._write_choice({}, last.tokens[self._told :], name_reason(reason))
        if self.has_usage:
            end += write_chunk(self.answer, [], statistics, self.has_usage)
        return end + DONE

    def _write_choice(
        self, delta: dict[str, str], tokens: Sequence[Token], reason: str | None
    ) -> str:
        logprobs = describe_logprobs(tokens) if self.answer.wants_logprobs and tokens else None
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return write_chunk(self.answer, [choice], None, self.has_usage)


def write_chunk(
    answer: Answer,
    choices: list[dict[str, Any]],
    statistics: Statistics | None,
    has_usage: bool,
) -> str:
    """Return the event of a chunk; if usage was asked for, all have the field and one a value."""
    chunk = answer.describe("chat.completion.chunk", choices)
    if has_usage:
        chunk["usage"] = statistics and describe_usage(statistics)
    return write_event(chunk)


def write_event(content: dict[str, Any]) -> str:
    """Return a server-sent event."""
    return f"data: {json.dumps(content)}\n\n"


def name_reason(reason: FinishReason) -> str:
    """Return OpenAI's word for why an answer ended."""
    return "stop" if reason in WHOLE else "length"


def describe_usage(statistics: Statistics) -> dict[str, Any]:
    """Return the token counts of an answer; the token that ended it counts."""
    return {
        "prompt_tokens": statistics.prompt_tokens,
        "completion_tokens": statistics.new_tokens,
        "total_tokens": statistics.prompt_tokens + statistics.new_tokens,
        "prompt_tokens_details": {"cached_tokens": statistics.reused_tokens},
    }


def describe_logprobs(tokens: Sequence[Token]) -> dict[str, Any]:
    """Return the natural logarithms of the tokens' probabilities, before temperature and top_p.

    A token that only begins a character has no text yet.
    """
    content = [
        {
            "token": token.text,
            "logprob": math.log(token.probability) if token.probability else LOG_OF_ZERO,
            "bytes": list(token.text.encode()),
            "top_logprobs": [],
        }
        for token in tokens
    ]
    return {"content": content, "refusal": None}
