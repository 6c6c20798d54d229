"""What a request will take before it is sent: tokens, crops, room in the context, memory, time.

Reads no pixels and computes nothing with the network: it is quick enough for every change of a
question.
"""

from dataclasses import dataclass, replace

from phi3v.engine import Engine
from phi3v.images import measure_image
from phi3v.model.image_processing import count_image_tokens, crop_grid
from phi3v.prompt import crop_choices, refuse_shape, render_prompt
from phi3v.request import Request, RequestError
from phi3v.tasks import DETAILS
from phi3v.text import Text


@dataclass(frozen=True)
class PictureEstimate:
    """A picture's size in pixels, the grid of crops it will be cut into, and its tokens."""

    width: int
    height: int
    rows: int
    columns: int
    tokens: int


@dataclass(frozen=True)
class Estimate:
    """What a request will take; pictures are in the order of their numbers.

    prompt_tokens includes image_tokens. room is how many tokens of the context prompt and longest
    answer leave free; below 0 it does not fit, and problem says what to change. cache_bytes is the
    memory for keys and values. first_token_seconds and most_seconds (of the longest answer) are
    None until the engine has answered something, and wait for nobody else.
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
        """Tokens of the context that are left free."""
        return self.context_length - self.prompt_tokens - self.max_new_tokens


def estimate_request(request: Request, engine: Engine) -> Estimate:
    """Estimate a request that may lack its question yet. Raises RequestError for bad pictures."""
    sizes = [measure_image(image) for turn in request.turns for image in turn.images]
    for num_crops in crop_choices(request.num_crops, sizes, engine.processor):
        estimate = estimate_at(request, engine, sizes, num_crops)
        if estimate.room >= 0:
            return estimate
    return replace(estimate, problem=advise(request, engine, sizes, estimate))


def estimate_details(request: Request, engine: Engine) -> dict[str, Estimate]:
    """The estimate at each level of detail, by its name: fast, balanced, fine and auto.

    A level at which a picture is too elongated is left out.
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
    request: Request, engine: Engine, sizes: list[tuple[int, int]], num_crops: int
) -> Estimate:
    """The estimate for one num_crops, fitting or not."""
    text = render_prompt(request.turns, engine.processor)
    try:
        text_tokens, image_tokens = engine.processor.count_tokens(text, sizes, num_crops)
        grids = [crop_grid(width, height, num_crops) for width, height in sizes]
    except ValueError as error:
        raise refuse_shape(sizes, num_crops) from error
    prompt_tokens = text_tokens + image_tokens
    longest = request.sampling.max_new_tokens
    first = engine.pace.prompt_seconds(prompt_tokens)
    rest = engine.pace.answer_seconds(longest - 1)
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
        (prompt_tokens + longest) * cache_bytes_per_token(engine),
        first,
        None if first is None else first + (rest or 0.0),
    )


def advise(
    request: Request, engine: Engine, sizes: list[tuple[int, int]], estimate: Estimate
) -> Text:
    """Say that a request does not fit, and the least change that makes it fit."""
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


def cache_bytes_per_token(engine: Engine) -> int:
    """Bytes of keys and values that one token takes in all layers."""
    config = engine.model.config
    width = config.hidden_size // config.num_attention_heads * config.num_key_value_heads
    return int(2 * config.num_hidden_layers * width * engine.dtype.itemsize)
