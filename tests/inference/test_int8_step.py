"""Decoding with 8-bit weights: as exact as bitsandbytes', without waiting for the device."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

bitsandbytes = pytest.importorskip("bitsandbytes", reason="an optional package")

from phi3v.inference.int8_step import OUTLIERS, decode_without_waiting, multiply_token  # noqa: E402

# Operations whose result, or its shape, the computer has to wait for.
WAITS = {"aten::item", "aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero"}


def find_waits(run):
    """Return the names of the operations in WAITS that `run` calls, inside of others too."""
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU]) as profiled:
        run()
    return WAITS & {event.key for event in profiled.key_averages()}


def draw(width=96, height=48, outliers=0, dtype=torch.bfloat16):
    """Return one token with outliers of 20 times the others' size, its weights and scales."""
    generator = torch.Generator().manual_seed(outliers)
    token = torch.randn(1, width, generator=generator)
    token[0, torch.randperm(width, generator=generator)[:outliers]] *= 20
    weights = torch.randn(height, width, generator=generator) / width**0.5
    scales = weights.abs().amax(1)
    return token.to(dtype), (weights / scales[:, None] * 127).round().to(torch.int8), scales


@pytest.mark.parametrize("outliers", [0, 1, 7, OUTLIERS])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_token_s_product_is_right(outliers, dtype):
    token, weights, scales = draw(outliers=outliers, dtype=dtype)
    exact = token.double() @ (weights.double() * scales[:, None].double() / 127).t()
    product = multiply_token(token, weights, scales)
    assert product.dtype == dtype
    error = (product.double() - exact).norm() / exact.norm()
    assert error < (0.01 if dtype == torch.float32 else 0.012)


@pytest.mark.parametrize("outliers", [0, 3, 7])
def test_it_is_as_exact_as_bitsandbytes(outliers):
    token, weights, scales = draw(512, 256, outliers)
    exact = token.double() @ (weights.double() * scales[:, None].double() / 127).t()
    threshold = 6.0  # transformers' default
    rounded, scale, columns = bitsandbytes.functional.int8_vectorwise_quant(
        token.half(), threshold=threshold
    )
    theirs, _ = torch.ops.bitsandbytes.int8_mixed_scaled_mm(
        token, rounded, weights, scale, scales, columns, None
    )
    ours = multiply_token(token, weights, scales)
    assert (ours - exact).norm() <= (theirs - exact).norm()


def build_layer(bias=True):
    layer = bitsandbytes.nn.Linear8bitLt(64, 32, bias, has_fp16_weights=False, threshold=6.0)
    plain = torch.nn.Linear(64, 32, bias)
    layer.load_state_dict(plain.state_dict())
    layer = layer.to("cpu").requires_grad_(False)
    if layer.weight.CB is None:  # bitsandbytes quantizes when weights are moved to a device
        layer.weight = bitsandbytes.nn.Int8Params(plain.weight.data)._quantize("cpu")
    return layer, plain


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_takes_tokens_one_by_one_without_waiting(bias):
    layer, plain = build_layer(bias)
    decode_without_waiting(layer)
    token = torch.randn(1, 1, 64, generator=torch.Generator().manual_seed(1))
    products = []
    assert find_waits(lambda: products.append(layer(token))) == set()
    assert products[0].shape == (1, 1, 32)
    assert torch.allclose(products[0], plain(token), atol=0.03)


def test_several_tokens_are_left_to_bitsandbytes():
    layer, _ = build_layer()
    tokens = torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(1))
    before = layer(tokens)
    decode_without_waiting(layer)
    assert torch.equal(layer(tokens), before)


def test_bitsandbytes_itself_would_wait():
    token, _, _ = draw(outliers=2)
    quantize = bitsandbytes.functional.int8_vectorwise_quant
    assert find_waits(lambda: quantize(token.half(), threshold=6.0))
