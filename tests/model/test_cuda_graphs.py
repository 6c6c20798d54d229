"""Captured decode steps give the ids of a GrowingCache; without CUDA they run eagerly."""

import pytest
import torch
from support.models import build_processor, build_random_model

from phi3v.model import cuda_graphs
from phi3v.model.cuda_graphs import CapturedCache, CapturedSteps
from phi3v.model.decoding import GrowingCache

EDGE = 40  # tokens with the short RoPE factors


@pytest.fixture(scope="module")
def model():
    settings = {"original_max_position_embeddings": EDGE, "max_position_embeddings": 400}
    return build_random_model(build_processor(), seed=2, initializer_range=0.3, **settings)


@pytest.fixture(autouse=True)
def _small_sizes(monkeypatch):
    monkeypatch.setattr(cuda_graphs, "MIN_SLOTS", 16)


def generate(model, cache, prompt, count=20):
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        sequence = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=cache,
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=None,
        )
    return sequence[0].tolist()


@pytest.mark.parametrize("length", [5, 12, 35, 45], ids=["short", "grows", "crosses", "long"])
def test_captured_steps_give_the_same_ids(model, length):
    prompt = list(range(3, 3 + length))
    captured = CapturedCache(CapturedSteps(model.model, 10**9))
    expected = GrowingCache()
    assert generate(model, captured, prompt) == generate(model, expected, prompt)
    with torch.inference_mode():
        captured.flush()
    assert captured.get_seq_length() == expected.get_seq_length()
    for ours, theirs in zip(captured.layers, expected.layers, strict=True):
        assert torch.allclose(ours.keys, theirs.keys, atol=1e-5)


def test_the_least_recently_used_size_is_dropped_before_another_is_captured(model):
    steps = CapturedSteps(model.model, 10**9)
    small, large = steps.find(10), steps.find(20)
    assert (small.size, large.size) == (16, 32)
    steps = CapturedSteps(model.model, int(1.5 * steps._by_size.currsize))
    first, second = steps.find(10), steps.find(20)
    assert steps.find(16) is first
    third = steps.find(30)
    assert third is second
    assert steps.find(64) is not None
    assert steps.find(20) is not second
    assert steps.find(10**6) is None
