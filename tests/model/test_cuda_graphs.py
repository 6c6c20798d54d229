"""Captured decode steps give the ids of a GrowingCache; without CUDA they run eagerly."""

from itertools import pairwise

import pytest
import torch
from support.models import build_crossing_model, generate

from phi3v.inference.loading import plan_memory
from phi3v.model import cuda_graphs
from phi3v.model.cuda_graphs import CapturedCache, CapturedSteps, choose_sizes
from phi3v.model.decoding import GrowingCache

EDGE = 40  # tokens with the short RoPE factors


@pytest.fixture(scope="module")
def model():
    return build_crossing_model(EDGE)


@pytest.fixture(autouse=True)
def _small_sizes(monkeypatch):
    monkeypatch.setattr(cuda_graphs, "MIN_SLOTS", 16)
    monkeypatch.setattr(cuda_graphs, "SLOT_STEP", 8)


def generate_ids(model, cache, prompt, count=20):
    return generate(model, cache, prompt, count)[0]


def open_steps(model, maxsize=10**6, **options):
    steps = CapturedSteps(model.model, maxsize, **options)
    steps.begin_answer()
    return steps


@pytest.mark.parametrize("length", [5, 12, 35, 45], ids=["short", "grows", "crosses", "long"])
def test_captured_steps_give_the_same_ids(model, length):
    prompt = list(range(3, 3 + length))
    captured = CapturedCache(open_steps(model))
    expected = GrowingCache()
    assert generate_ids(model, captured, prompt) == generate_ids(model, expected, prompt)
    with torch.inference_mode():
        captured.flush()
    assert captured.get_seq_length() == expected.get_seq_length()
    for ours, theirs in zip(captured.layers, expected.layers, strict=True):
        assert torch.allclose(ours.keys, theirs.keys, atol=1e-5)


def test_answers_in_turns_do_not_mix_their_slots(model):
    steps = open_steps(model)
    for start in (3, 50, 3):
        prompt = list(range(start, start + 12))
        captured = generate_ids(model, CapturedCache(steps), prompt)
        assert captured == generate_ids(model, GrowingCache(), prompt)


def test_all_sizes_are_captured_at_the_first_use_and_never_again(model):
    steps = open_steps(model)
    generate_ids(model, CapturedCache(steps), list(range(3, 8)), count=4)
    assert steps.num_captures == len(steps.sizes) > 3
    for length in (5, 30, 60, 5):
        generate_ids(model, CapturedCache(steps), list(range(3, 3 + length)), count=30)
    assert steps.num_captures == len(steps.sizes)


@pytest.mark.parametrize(
    ("free_gigabytes", "slots"), [(6.8, 2048), (15.0, 4608), (16.5, 5120), (38.9, 12288)]
)
def test_on_every_card_the_sizes_grow_by_half_up_to_the_budget(monkeypatch, free_gigabytes, slots):
    monkeypatch.undo()
    plan = plan_memory(int(free_gigabytes * 1e9), 393_216)
    num_slots = plan.captured_bytes // 393_216 // 256 * 256
    assert num_slots == slots
    sizes = choose_sizes(num_slots)
    assert sizes[0] == 2048
    assert sizes[-1] == num_slots
    assert all(small < large <= 1.5 * small for small, large in pairwise(sizes))


def test_the_step_converts_its_mask_once_and_not_in_every_layer(model):
    """Attention converts a mask of booleans, or of another type, in each layer."""
    model.bfloat16()
    seen = []
    attention = torch.nn.functional.scaled_dot_product_attention

    class Watching(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is attention:
                seen.append(args[3])
            return function(*args, **(kwargs or {}))

    cache = CapturedCache(open_steps(model))
    with torch.inference_mode():
        model(input_ids=torch.tensor([[3, 4, 5]]), past_key_values=cache)
        with Watching():
            cache.step(model.model, torch.tensor([[6]]))
    model.float()
    assert len(seen) == 2
    assert seen[0] is seen[1]
    assert seen[0].dtype == torch.bfloat16


def test_a_shortage_while_capturing_is_tried_again_once_memory_is_free(model, monkeypatch):
    free = [10**12]
    steps = open_steps(model, free_memory=lambda: free[0])
    real = cuda_graphs.SlotBuffer

    def fail(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(cuda_graphs, "SlotBuffer", fail)
    assert steps.find(10) is None
    assert steps.is_enabled
    monkeypatch.setattr(cuda_graphs, "SlotBuffer", real)
    free[0] = 0
    assert steps.find(10) is None
    free[0] = 10**12
    assert steps.find(10) is not None


def test_another_failure_of_capturing_leaves_decoding_eager(model, monkeypatch):
    def fail(*args):
        raise RuntimeError("no graphs here")

    monkeypatch.setattr(cuda_graphs, "CapturedStep", fail)
    steps = open_steps(model)
    cache = CapturedCache(steps)
    prompt = list(range(3, 10))
    assert generate_ids(model, cache, prompt) == generate_ids(model, GrowingCache(), prompt)
    assert not steps.is_enabled


def test_the_first_answers_of_a_process_may_be_eager(model):
    steps = CapturedSteps(model.model, 10**6, eager_answers=1)
    for expected in (0, len(steps.sizes)):
        steps.begin_answer()
        generate_ids(model, CapturedCache(steps), list(range(3, 10)))
        assert steps.num_captures == expected


def test_an_answer_beyond_all_slots_goes_on_eagerly(model):
    steps = open_steps(model, maxsize=24 * 512)
    assert 0 < steps.num_slots <= 24
    prompt = list(range(3, 19))
    captured = generate_ids(model, CapturedCache(steps), prompt)
    assert captured == generate_ids(model, GrowingCache(), prompt)
    assert steps.find(10**6) is None
