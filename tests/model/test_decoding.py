"""The decode step gives the logits of the model's forward pass, bit for bit."""

import pytest
import torch
from support.models import build_crossing_model, generate
from transformers import DynamicCache

from phi3v.model import decoding
from phi3v.model.decoding import GrowingCache, GrowingLayer, can_step, causal_suffix_mask

EDGE = 40  # tokens with the short RoPE factors


@pytest.fixture(scope="module")
def model():
    return build_crossing_model(EDGE)


@pytest.fixture(autouse=True)
def _slow_growth(monkeypatch):
    monkeypatch.setattr(decoding, "GROWTH", 8)


def prompt_of(length):
    return [3 + index % 300 for index in range(length)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(
    ("prompt_length", "count"), [(5, 30), (35, 20), (45, 20)], ids=["short", "crossing", "long"]
)
def test_decode_steps_give_the_logits_of_the_forward_pass(model, dtype, prompt_length, count):
    model.to(dtype)
    prompt, plain = prompt_of(prompt_length), DynamicCache(config=model.config)
    ids, logits = generate(model, GrowingCache(), prompt, count)
    plain_ids, plain_logits = generate(model, plain, prompt, count)
    assert ids == plain_ids
    assert torch.equal(logits, plain_logits)


@pytest.mark.parametrize("has_amx", [True, False])
def test_bfloat16_products_take_a_vector_only_where_amx_makes_that_fast(monkeypatch, has_amx):
    products = []
    real = torch.mv
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has_amx})
    monkeypatch.setattr(torch, "mv", lambda *args: products.append(1) or real(*args))
    decoding.has_fast_vector_products.cache_clear()
    linear = torch.nn.Linear(32, 64, bias=False).bfloat16()
    states = torch.randn(1, 1, 32).bfloat16()
    with torch.inference_mode():
        output = decoding.project(linear, states)
        expected = linear(states)
    decoding.has_fast_vector_products.cache_clear()
    assert len(products) == has_amx
    assert torch.equal(output, expected)


def test_generate_uses_decode_steps(model, monkeypatch):
    steps = []
    real = decoding.step
    monkeypatch.setattr(decoding, "step", lambda *args: steps.append(1) or real(*args))
    generate(model.float(), GrowingCache(), prompt_of(5), count=10)
    assert len(steps) == 9  # the prompt brings the first token


def test_other_caches_lengths_and_attention_use_the_forward_pass(model):
    ids, cache = torch.tensor([[5]]), GrowingCache()
    with torch.inference_mode():
        model.float()(input_ids=ids, past_key_values=cache)
    assert can_step(model.model, ids, cache)
    assert not can_step(model.model, ids.expand(1, 2), cache)
    assert not can_step(model.model, ids, DynamicCache(config=model.config))
    model.set_attn_implementation("eager")
    assert not can_step(model.model, ids, cache)
    model.set_attn_implementation("sdpa")


def test_a_growing_layer_holds_all_appended_keys_and_values():
    layer, states = GrowingLayer(), torch.randn(1, 4, 30, 6)
    for begin, end in ((0, 5), (5, 6), (6, 9), (9, 30)):
        layer.update(states[:, :2, begin:end], states[:, 2:, begin:end])
    assert torch.equal(torch.cat([layer.keys, layer.values], dim=1), states)
    layer.crop(-10)
    layer.append(states[:, :, 20:21])
    assert torch.equal(layer.keys, states[:, :2, :21])
    assert layer.get_seq_length() == 21


def test_the_mask_of_a_prompt_behind_a_prefix_takes_no_memory_and_keeps_fast_kernels():
    """On CUDA it runs a flash kernel; here the same positions are attended to."""
    query, key, value = (torch.randn(1, 2, length, 8) for length in (3, 7, 7))
    mask = causal_suffix_mask(3, 7)
    assert mask.shape == (1, 1, 3, 7)
    assert mask.untyped_storage().nbytes() <= 4
    attention = torch.nn.functional.scaled_dot_product_attention
    dense = torch.ones(3, 7, dtype=torch.bool).tril(4)
    expected = attention(query, key, value, attn_mask=dense)
    assert torch.allclose(attention(query, key, value, attn_mask=mask), expected)


def test_that_mask_goes_through_the_model_as_it_is(model):
    ids, cache, plain = torch.arange(3, 15)[None], GrowingCache(), GrowingCache()
    model.float()
    with torch.inference_mode():
        expected = model(input_ids=ids, past_key_values=plain).logits[:, 5:]
        model(input_ids=ids[:, :5], past_key_values=cache)
        mask = causal_suffix_mask(7, 12)
        found = model(input_ids=ids[:, 5:], past_key_values=cache, attention_mask=mask).logits
    assert torch.allclose(found, expected, atol=1e-4)


def test_buffers_grow_by_an_eighth():
    layer, sizes = GrowingLayer(), set()
    for _ in range(60):
        layer.update(torch.zeros(1, 2, 30, 6), torch.zeros(1, 2, 30, 6))
        sizes.add(layer.buffer.shape[2])
    assert len(sizes) < 30
