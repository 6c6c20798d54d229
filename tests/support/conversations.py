"""Conversations with a small random model, and random changes as users make them."""

import random
import threading

from support.golden import golden_image
from support.models import build_processor, build_random_model

from phi3v import Phi3VForCausalLM, Phi3VProcessor, Request, Sampling, Turn

EDGE = 350  # longest prompt with the short RoPE factors, in tokens: one image and some text
PICTURES = [golden_image(40 + 7 * i, 30 + 5 * i, kind="smooth") for i in range(2)] + [
    golden_image(64, 64)
]


def build_small_processor() -> Phi3VProcessor:
    """Return a processor that cuts one crop per image, so that a prompt may stay below EDGE."""
    processor = build_processor()
    processor.image_processor.auto_num_crops = [1, 1]
    return processor


def build_precise_model(processor: Phi3VProcessor) -> Phi3VForCausalLM:
    """Return a random model in float64, so that rounding cannot change which token is likeliest."""
    settings = {"original_max_position_embeddings": EDGE, "max_position_embeddings": 4000}
    return build_random_model(processor, seed=1, initializer_range=0.3, **settings).double()


def answer(engine, turns, count=12, stop_after=None, adapter=None):
    """Return text and statistics of an answer, stopped once it has `stop_after` tokens."""
    stop = threading.Event()
    text, statistics = "", None
    before = engine.new_tokens
    request = Request(tuple(turns), Sampling(max_new_tokens=count), adapter=adapter)
    for chunk in engine.stream(request, stop):
        if stop_after is not None and engine.new_tokens - before >= stop_after:
            stop.set()
        text, statistics = text + chunk.text, chunk.statistics
    return text, statistics


def make_question(rng: random.Random) -> Turn:
    """Return a random question about up to two images."""
    words = " ".join(
        rng.choice(["red", "why", "what is it", "7"]) for _ in range(rng.randint(1, 9))
    )
    return Turn("user", words, tuple(rng.sample(PICTURES, rng.choice([0, 0, 1, 1, 2]))))


def change_conversation(rng: random.Random, turns: list[Turn]) -> list[Turn]:
    """Return the turns after a random action: ask, edit, retry, switch an image, or restart."""
    action = rng.choice(["ask", "ask", "ask", "edit", "retry", "switch", "restart"])
    if action == "restart" or not turns:
        return [make_question(rng)]
    if action == "ask":
        return [*turns, make_question(rng)]
    kept = turns[:-1] if turns[-1].role == "assistant" else turns
    if action == "edit":
        return [*kept[:-1], make_question(rng)]
    if action == "switch":
        index = rng.randrange(0, len(kept), 2)
        switched = Turn("user", kept[index].text, (rng.choice(PICTURES),))
        return [*kept[:index], switched, *kept[index + 1 :]]
    return kept
