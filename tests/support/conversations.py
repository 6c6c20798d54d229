"""Conversations with a small random network, and what people do with them."""

import random
import threading

from support.golden import golden_image
from support.models import build_processor, build_random_model

from phi3v import Phi3VForCausalLM, Phi3VProcessor, Request, Sampling, Turn

EDGE = 350  # tokens with the short RoPE factors: one picture and some text
PICTURES = [golden_image(40 + 7 * i, 30 + 5 * i, kind="smooth") for i in range(2)] + [
    golden_image(64, 64)
]


def build_small_processor() -> Phi3VProcessor:
    """One crop for each picture, so that a few of them fit below EDGE."""
    processor = build_processor()
    processor.image_processor.auto_num_crops = [1, 1]
    return processor


def build_precise_model(processor: Phi3VProcessor) -> Phi3VForCausalLM:
    """Random weights in float64, so that no two tokens are as good as equal."""
    settings = {"original_max_position_embeddings": EDGE, "max_position_embeddings": 4000}
    return build_random_model(processor, seed=1, initializer_range=0.3, **settings).double()


def answer(engine, turns, count=12, stop_after=None):
    """Text and statistics; with stop_after, of an answer stopped once that many tokens are made."""
    stop = threading.Event()
    text, statistics = "", None
    before = engine.new_tokens
    for chunk in engine.stream(Request(tuple(turns), Sampling(max_new_tokens=count)), stop):
        if stop_after is not None and engine.new_tokens - before >= stop_after:
            stop.set()
        text, statistics = text + chunk.text, chunk.statistics
    return text, statistics


def say(rng: random.Random) -> Turn:
    words = " ".join(
        rng.choice(["red", "why", "what is it", "7"]) for _ in range(rng.randint(1, 9))
    )
    return Turn("user", words, tuple(rng.sample(PICTURES, rng.choice([0, 0, 1, 1, 2]))))


def change_conversation(rng: random.Random, turns: list[Turn]) -> list[Turn]:
    """What a person does next: ask on, edit, retry, switch a picture, or start again."""
    deed = rng.choice(["ask", "ask", "ask", "edit", "retry", "switch", "restart"])
    if deed == "restart" or not turns:
        return [say(rng)]
    if deed == "ask":
        return [*turns, say(rng)]
    kept = turns[:-1] if turns[-1].role == "assistant" else turns
    if deed == "edit":
        return [*kept[:-1], say(rng)]
    if deed == "switch":
        index = rng.randrange(0, len(kept), 2)
        switched = Turn("user", kept[index].text, (rng.choice(PICTURES),))
        return [*kept[:index], switched, *kept[index + 1 :]]
    return kept
