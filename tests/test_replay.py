"""Steps at fixed places give what steps in growing ones give; recording them needs a GPU."""

import random
from itertools import pairwise

import pytest
import torch
from conversations import (
    EDGE,
    answer,
    build_precise_network,
    build_small_processor,
    change_conversation,
)
from test_decoding import generate

from phi3v import Engine, Turn
from phi3v.loading import choose_replay
from phi3v.model import replay
from phi3v.model.decoding import GrowingCache
from phi3v.model.replay import Replay, ReplayedCache, Replays


@pytest.fixture(scope="module")
def processor():
    return build_small_processor()


@pytest.fixture(scope="module")
def network(processor):
    return build_precise_network(processor)


@pytest.fixture(autouse=True)
def _small_sizes(monkeypatch):
    monkeypatch.setattr(replay, "SMALLEST", 64)


@pytest.mark.parametrize(
    ("prompt_length", "count"),
    [(5, 40), (50, 100), (EDGE - 10, 30), (EDGE + 10, 30)],
    ids=["one size", "two sizes", "crossing", "long"],
)
def test_fixed_places_give_the_tokens_of_growing_ones(network, prompt_length, count):
    cache, growing = ReplayedCache(Replays(network.model, 10**8)), GrowingCache()
    with torch.inference_mode():
        ids, logits = generate(network, cache, prompt_length, count)
        plain_ids, plain_logits = generate(network, growing, prompt_length, count)
        cache.flush()
    assert torch.equal(ids, plain_ids)
    assert torch.allclose(logits, plain_logits)
    for layer, other in zip(cache.layers, growing.layers, strict=True):
        assert torch.allclose(layer.keys, other.keys)
        assert torch.allclose(layer.values, other.values)


def test_conversations_get_the_answers_they_get_without(network, processor):
    fixed = Engine(network, processor, "fixed", reuse_bytes=10**7, replay_bytes=10**7)
    plain = Engine(network, processor, "plain", reuse_bytes=0)
    reused = 0
    for seed in range(8):
        rng = random.Random(seed)
        turns: list[Turn] = []
        for _ in range(4):
            turns = change_conversation(rng, turns)
            if rng.random() < 0.3:
                answer(fixed, turns, count=40, stop_after=rng.randint(1, 5))
            text, statistics = answer(fixed, turns)
            assert text == answer(plain, turns)[0], f"conversation {seed}"
            reused += statistics.reused_tokens
            turns = [*turns, Turn("assistant", text)]
    assert reused > 0
    assert len(fixed.reuse.replays._by_size) > 1


def test_a_cut_cache_goes_on_from_there(network):
    cache = ReplayedCache(Replays(network.model, 10**8))
    ids = torch.arange(3, 20)[None]
    with torch.inference_mode():
        network(input_ids=ids[:, :10], past_key_values=cache)
        logits = [
            network(input_ids=ids[:, i : i + 1], past_key_values=cache).logits for i in (10, 11, 12)
        ]
        cache.crop(-2)
        assert cache.get_seq_length() == 11
        again = network(input_ids=ids[:, 11:12], past_key_values=cache).logits
    assert torch.allclose(again, logits[1])


def test_sizes_double_and_the_least_recently_used_leaves(network):
    bytes_per_token = 2 * 32 * 2 * 8  # keys and values of two layers of 32 float64
    replays = Replays(network.model, bytes_per_token * (64 + 256))
    assert replays.find(64).size == 64
    assert replays.find(65).size == 128
    assert replays.find(64).size == 64
    assert replays.find(200).size == 256
    assert list(replays._by_size) == [64, 256]
    assert replays.find(257) is None
    assert replays.find(1000) is None


def test_what_cannot_be_recorded_runs_one_by_one_and_says_so_once(network, monkeypatch, caplog):
    def fail(self, *args):
        raise RuntimeError("no graphs here")

    monkeypatch.setattr(Replay, "__init__", fail)
    cache, growing = ReplayedCache(Replays(network.model, 10**8)), GrowingCache()
    with torch.inference_mode():
        ids, logits = generate(network, cache, 5, 20)
        plain_ids, plain_logits = generate(network, growing, 5, 20)
    assert torch.equal(ids, plain_ids)
    assert torch.equal(logits, plain_logits)
    (line,) = [record.message for record in caplog.records]
    assert line == "Steps cannot be recorded (no graphs here); they run one by one."


def test_steps_are_recorded_on_cuda_only_where_the_gpu_stays():
    cuda = torch.device("cuda")
    assert choose_replay(cuda, "none", True) == ""
    problems = [
        choose_replay(torch.device("cpu"), "none", True),
        choose_replay(cuda, "4bit", True),
        choose_replay(cuda, "none", False),
    ]
    assert all(problem.startswith("one operation at a time: ") for problem in problems)
    assert all(one != other for one, other in pairwise(problems))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="it needs a CUDA device")
def test_recorded_steps_give_the_tokens_of_computed_ones(network):
    network = network.float().to("cuda")
    try:
        replays = Replays(network.model, 10**8)
        with torch.inference_mode():
            ids, logits = generate(network, ReplayedCache(replays), 50, 100)
            plain_ids, plain_logits = generate(network, GrowingCache(), 50, 100)
        assert replays.find(64).graph is not None
        assert torch.equal(ids, plain_ids)
        assert torch.allclose(logits, plain_logits, atol=1e-3)
    finally:
        network.double().to("cpu")
