"""What goes into the engine and what comes out of it.

Knows the words of a conversation and the figures of an answer; knows neither torch nor gradio.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from PIL import Image

from phi3v.translatable import Text

Role = Literal["system", "user", "assistant"]
ImageSource = Image.Image | str | Path
FinishReason = Literal["end", "length", "stopped", "loop"]
Phase = Literal["loading", "waiting", "preparing", "encoding", "prefill", "answering"]


class RequestError(ValueError):
    """Something the user can fix: the text says what was found, the limit, and what to do.

    It is English, made of a template and values as a Text is, and kept as `text`.
    """

    def __init__(self, template: str, /, **values: object) -> None:
        is_made = isinstance(template, Text) and not values
        self.text = template if is_made else Text(template, **values)
        super().__init__(str(self.text))


@dataclass(frozen=True)
class Turn:
    """One message of a conversation; its images stand before its text.

    Images are PIL images or paths of image files. token_ids may hold an answer's own tokens, so
    that going on with it goes on from exactly these; they count only while they spell its text.
    """

    role: Role
    text: str
    images: tuple[ImageSource, ...] = ()
    token_ids: tuple[int, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. A temperature of 0 is greedy decoding and ignores top_p and seed.

    Raises RequestError for values outside their range.
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
        if not 0.0 < self.top_p <= 1.0:
            raise RequestError(
                "top_p is {found}; choose a value above 0 and up to 1.", found=self.top_p
            )


@dataclass(frozen=True)
class Request:
    """A conversation to be answered: its last turn is the user's.

    num_crops is the most 336 x 336 crops an image is cut into; None lets the engine choose. With
    is_continued the last turn is an answer that was cut, and the new answer is what follows it,
    max_new_tokens of it. wants_probabilities asks for the tokens' probabilities; ends_loops lets
    an answer end that repeats itself for ever.
    """

    turns: tuple[Turn, ...]
    sampling: Sampling = Sampling()
    num_crops: int | None = None
    is_continued: bool = False
    wants_probabilities: bool = False
    ends_loops: bool = True


@dataclass(frozen=True)
class Statistics:
    """The figures of one answer: tokens are counts, times are seconds.

    Of the prompt_tokens, image_tokens stand for images and reused_tokens were kept from before.
    tokens_per_second is the decoding rate, the first token (and the prompt's time) left out.
    finish_reason is "end" (by the network), "length" (cut at max_new_tokens), "loop" (it repeated
    itself) or "stopped" (by the reader). prompt_time is time_to_first_token without the wait for
    other requests.
    peak_memory is the most bytes the GPU's memory held meanwhile, weights included; None on others.
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


@dataclass(frozen=True)
class Token:
    """A token of an answer: its id, the text it completed, and how probable the network found it.

    The probability, 0 to 1, is None unless the request asked for it.
    """

    id: int
    text: str
    probability: float | None = None


@dataclass(frozen=True)
class Chunk:
    """A piece of an answer's text; the last one also carries statistics and all its tokens.

    The token that ends an answer is not among them. phase says what is going on: the network is
    being loaded, other requests come first, an image is opened and cut into crops ("preparing") or
    runs through the vision tower ("encoding"), the prompt is read ("prefill"), or tokens come.
    number of total is the place among those that wait, 1 being the next, or the image among the
    request's; both are 0 in the other phases.
    """

    text: str
    statistics: Statistics | None = None
    phase: Phase = "answering"
    tokens: tuple[Token, ...] = ()
    number: int = 0
    total: int = 0
