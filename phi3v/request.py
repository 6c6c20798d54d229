"""The types that travel through the app: requests into an engine, chunks and statistics out.

Knows turns, sampling and the figures of an answer; must not import torch or gradio.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from PIL import Image

from phi3v.translatable import Text

# What torch.manual_seed takes, without the negative ones that stand for others.
MAX_SEED: Final = 2**64 - 1
# Below it, logits divided by the temperature may overflow, and no probabilities are left.
MIN_TEMPERATURE: Final = 0.01

Role = Literal["system", "user", "assistant"]
ImageSource = Image.Image | str | Path
FinishReason = Literal["end", "length", "stopped", "loop", "interrupted"]
Phase = Literal["loading", "waiting", "preparing", "encoding", "prefill", "answering"]


class RequestError(ValueError):
    """An error the user can fix; its message says what was found, the limit and what to do.

    `text` is the English message as a Text, whose template and values a page can translate.
    """

    def __init__(self, template: str, /, **values: object) -> None:
        self.text = (
            template if isinstance(template, Text) and not values else Text(template, **values)
        )
        super().__init__(str(self.text))


@dataclass(frozen=True)
class Turn:
    """One message of a conversation; in the prompt its images precede its text.

    Images are PIL images or paths of image files. token_ids may hold the tokens of an answer, so
    that it is continued from exactly these; they are ignored unless they decode to its text.
    """

    role: Role
    text: str
    images: tuple[ImageSource, ...] = ()
    token_ids: tuple[int, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters; a temperature of 0 is greedy decoding and ignores top_p and seed.

    Raises RequestError for values outside their range: max_new_tokens from 1, temperature 0 or
    MIN_TEMPERATURE to 2, top_p above 0 and up to 1, seed 0 to MAX_SEED or None.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise RequestError(
                "max_new_tokens is {found}; ask for at least 1 new token.",
                found=self.max_new_tokens,
            )
        if not 0.0 <= self.temperature <= 2.0:
            raise RequestError(
                "temperature is {found}; choose 0 (greedy) to 2 (very random).",
                found=self.temperature,
            )
        if 0.0 < self.temperature < MIN_TEMPERATURE:
            raise RequestError(
                "temperature is {found}; choose 0 (greedy), or {least} to 2 (very random).",
                found=self.temperature,
                least=MIN_TEMPERATURE,
            )
        if not 0.0 < self.top_p <= 1.0:
            raise RequestError(
                "top_p is {found}; choose a value above 0 and up to 1.", found=self.top_p
            )
        if self.seed is not None and not is_seed(self.seed):
            raise RequestError(
                "seed is {found}; choose a whole number from 0 to {most}.",
                found=self.seed,
                most=MAX_SEED,
            )


def is_seed(seed: float) -> bool:
    """True for a whole number that a random generator takes."""
    return 0 <= seed <= MAX_SEED and seed == int(seed)


@dataclass(frozen=True)
class Request:
    """A conversation whose last turn, the user's, is to be answered.

    num_crops is the most 336 x 336 crops an image is cut into; None lets the engine choose. With
    is_continued the last turn is an answer that was cut, and is continued by up to max_new_tokens
    tokens. wants_probabilities asks for a probability per token; ends_loops ends an answer that
    repeats itself (see phi3v.conversation.repetition). model and adapter choose among those that
    the engine has, by name: None takes the first, and adapter "" none. An answer also ends before
    the first of the stop_strings (see phi3v.conversation.stop_strings) and at any of the
    stop_token_ids.
    """

    turns: tuple[Turn, ...]
    sampling: Sampling = Sampling()
    num_crops: int | None = None
    is_continued: bool = False
    wants_probabilities: bool = False
    ends_loops: bool = True
    model: str | None = None
    adapter: str | None = None
    stop_strings: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Statistics:
    """The figures of one answer: tokens are counts, times are seconds.

    Of the prompt_tokens, image_tokens are image slots and reused_tokens came from the prefix cache.
    tokens_per_second is the decoding rate, without the first token and the time before it.
    finish_reason is "end" (a stop token), "length" (cut at max_new_tokens), "loop" (it repeated
    itself), "stopped" (by the reader) or "interrupted" (its server failed). prompt_time is
    time_to_first_token without the time in the queue. peak_memory is the most bytes allocated on
    the GPU, weights included; None on other devices. model is the chosen one's name where several
    are offered, adapter the one in effect.
    """

    prompt_tokens: int
    image_tokens: int
    new_tokens: int
    time_to_first_token: float
    tokens_per_second: float
    finish_reason: FinishReason
    reused_tokens: int = 0
    prompt_time: float = 0.0
    peak_memory: int | None = None
    model: str = ""
    adapter: str = ""


@dataclass(frozen=True)
class Token:
    """A token of an answer: its id, the text it completed and its probability under the model.

    The probability, 0 to 1, is None unless the request asked for it.
    """

    id: int
    text: str
    probability: float | None = None


@dataclass(frozen=True)
class Chunk:
    """A piece of an answer's text; the last one also carries its statistics and all its tokens.

    tokens are without the one that ended the answer; written are the tokens whose texts are this
    chunk's, which an engine may tell if probabilities are wanted. phase is what the engine is
    doing: the model is being loaded ("loading"), the request is queued ("waiting"), an image is
    opened and cut into crops ("preparing") or runs through the vision tower ("encoding"), the
    prompt is computed ("prefill"), or tokens are decoded ("answering"). number and total are the
    position in the queue (1 is next) and its length, or an image's number and how many the request
    has; both are 0 in the other phases.
    """

    text: str
    statistics: Statistics | None = None
    phase: Phase = "answering"
    tokens: tuple[Token, ...] = ()
    number: int = 0
    total: int = 0
    written: tuple[Token, ...] = ()
