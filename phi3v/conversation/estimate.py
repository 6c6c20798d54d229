"""Estimates a request before it is sent: tokens, crops, free context, memory, time.

Reads image sizes and no pixels, and does not run the model: fast enough for every keystroke.
"""

from dataclasses import dataclass, replace

from phi3v.conversation.engine_protocol import SizedEngine
from phi3v.conversation.prompt import crop_choices, explain_shape, render_prompt
from phi3v.documents.images import measure_image
from phi3v.model.crops import count_image_tokens, crop_grid
from phi3v.request import Request, RequestError
from phi3v.tasks import DETAILS
from phi3v.translatable import Text


@dataclass(frozen=True)
class PictureEstimate:
    """An image's size in pixels, its grid of crops, and its tokens."""

    width: int
    height: int
    rows: int
    columns: int
    tokens: int


@dataclass(frozen=True)
class Estimate:
    """Cost of a request; pictures are in the order of their numbers.

    prompt_tokens includes image_tokens. room is the number of tokens that prompt and longest
    answer leave free in the context; below 0 the request does not fit, and problem says what to
    change. cache_bytes is the size of keys and values. first_token_seconds and most_seconds (for
    the longest answer) exclude queueing and are None until the engine has answered something.
    """

    num_crops: int
    pictures: tuple[PictureEstimate, ...]
    prompt_tokens: int
    image_tokens: int
    max_new_tokens: int
    context_length: int
    cache_bytes: int
    first_token_seconds: float | None
    most_seconds: float | None
    problem: Text | None = None

    @property
    def room(self) -> int:
        """Free tokens of the context."""
        return self.context_length - self.prompt_tokens - self.max_new_tokens


def estimate_request(request: Request, engine: SizedEngine) -> Estimate:
    """Estimate a request, with or without its question. Raises RequestError for bad images."""
    sizes = [measure_image(image) for turn in request.turns for image in turn.images]
    for num_crops in crop_choices(request.num_crops, sizes, engine.processor):
        estimate = estimate_at(request, engine, sizes, num_crops)
        if estimate.room >= 0:
            return estimate
    return replace(estimate, problem=advise(request, engine, sizes, estimate))


def count_fitting(question: Request, size: tuple[int, int], count: int, engine: SizedEngine) -> int:
    """Return how many of `count` images of this size fit with a question, at its least detail.

    At least 1: that not even one fits is told where it is answered.
    """
    (turn,) = question.turns
    fitting, too_many = 1, count + 1
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        turns = (replace(turn, images=("",) * middle),)
        sizes = [size] * middle
        num_crops = question.num_crops or 1
        if estimate_at(replace(question, turns=turns), engine, sizes, num_crops).room >= 0:
            fitting = middle
        else:
            too_many = middle
    return fitting


def estimate_details(request: Request, engine: SizedEngine) -> dict[str, Estimate]:
    """Return the estimate at each level of detail: fast, balanced, fine and auto.

    A level at which an image is too elongated is left out.
    """
    estimates = {}
    for name, num_crops in DETAILS.items():
        try:
            estimates[name] = estimate_request(replace(request, num_crops=num_crops), engine)
        except RequestError:
            if num_crops is None:
                raise
    return estimates


def estimate_at(
    request: Request, engine: SizedEngine, sizes: list[tuple[int, int]], num_crops: int
) -> Estimate:
    """Return the estimate for one num_crops, whether it fits or not."""
    text = render_prompt(request.turns, engine.processor)
    try:
        text_tokens, image_tokens = engine.processor.count_tokens(text, sizes, num_crops)
        grids = [crop_grid(width, height, num_crops) for width, height in sizes]
    except ValueError as error:
        raise explain_shape(sizes, num_crops) from error
    prompt_tokens = text_tokens + image_tokens
    longest = request.sampling.max_new_tokens
    first = engine.throughput.prefill_seconds(prompt_tokens)
    rest = engine.throughput.decode_seconds(longest - 1)
    return Estimate(
        num_crops,
        tuple(
            PictureEstimate(*size, *grid, count_image_tokens(*grid))
            for size, grid in zip(sizes, grids, strict=True)
        ),
        prompt_tokens,
        image_tokens,
        longest,
        engine.context_length,
        (prompt_tokens + longest) * engine.cache_bytes_per_token,
        first,
        None if first is None else first + (rest or 0.0),
    )


def advise(
    request: Request, engine: SizedEngine, sizes: list[tuple[int, int]], estimate: Estimate
) -> Text:
    """Say that a request does not fit, and the smallest change that makes it fit."""
    found = Text(
        "This takes {prompt_tokens} tokens and the answer up to {max_new_tokens}; the context "
        "holds {context_length}.",
        prompt_tokens=estimate.prompt_tokens,
        max_new_tokens=estimate.max_new_tokens,
        context_length=estimate.context_length,
    )
    for name, num_crops in reversed(DETAILS.items()):
        if num_crops is None or num_crops >= estimate.num_crops:
            continue
        less = estimate_at(request, engine, sizes, num_crops)
        if less.room >= 0:
            return Text(
                "{found} With detail {name} it takes {tokens} and fits.",
                found=found,
                name=Text(name),
                tokens=less.prompt_tokens,
            )
    left = estimate.context_length - estimate.prompt_tokens
    if left > 0:
        return Text(
            "{found} Allow an answer of {left} tokens at most, or use fewer pictures.",
            found=found,
            left=left,
        )
    return Text("{found} Use fewer pictures, or start a new conversation.", found=found)
