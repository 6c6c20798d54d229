"""Conversations decoded by captured steps get the answers of an engine without them."""

import random

import pytest
from support import graph_stand_in
from support.conversations import (
    EDGE,
    answer,
    build_precise_model,
    build_small_processor,
    change_conversation,
)

from phi3v import Engine, Turn
from phi3v.model import cuda_graphs

CONVERSATIONS = 12


@pytest.fixture(scope="module")
def processor():
    return build_small_processor()


@pytest.fixture(scope="module")
def model(processor):
    return build_precise_model(processor)


@pytest.fixture(autouse=True)
def _graphs(monkeypatch):
    graph_stand_in.install(monkeypatch)
    monkeypatch.setattr(cuda_graphs, "MIN_SLOTS", 48)
    monkeypatch.setattr(cuda_graphs, "SLOT_STEP", 16)


def test_random_conversations_get_the_answers_of_an_eager_engine(model, processor):
    captured = Engine(model, processor, "random", 3_000_000, replay_bytes=1_000_000)
    eager = Engine(model, processor, "random", 0)
    steps = captured.prefix_cache.captured_steps
    crossed = 0
    for seed in range(CONVERSATIONS):
        rng = random.Random(seed)
        turns: list[Turn] = []
        for _ in range(3):
            turns = change_conversation(rng, turns)
            if rng.random() < 0.2:
                answer(captured, turns, count=40, stop_after=rng.randint(1, 5))
            text, statistics = answer(captured, turns)
            assert text == answer(eager, turns)[0], f"conversation {seed}"
            crossed += statistics.prompt_tokens <= EDGE < statistics.prompt_tokens + 12
            turns = [*turns, Turn("assistant", text)]
    assert crossed > 0
    assert steps.num_captures == len(steps.sizes) > 3
    assert steps.is_enabled


def test_a_step_that_waits_for_the_device_is_not_captured(model, processor, monkeypatch):
    real = cuda_graphs.step

    def step_and_look(*args):
        output = real(*args)
        output.sum().item()
        return output

    monkeypatch.setattr(cuda_graphs, "step", step_and_look)
    engine = Engine(model, processor, "random", 0, replay_bytes=1_000_000)
    text, _ = answer(engine, [Turn("user", "What is it?")])
    assert text == answer(Engine(model, processor, "random", 0), [Turn("user", "What is it?")])[0]
    assert not engine.prefix_cache.captured_steps.is_enabled
