"""Quantized weights: refused if unavailable, and only of the decoder."""

import pytest
import torch
from support.models import build_processor, build_random_model
from torch import nn
from transformers.quantizers.quantizers_utils import should_convert_module

from phi3v.inference import checkpoint, hardware, quantization
from phi3v.inference.quantization import (
    bytes_per_weight,
    check_quantization,
    choose_backend,
    quantized_loading,
)
from phi3v.request import RequestError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
def test_metal_is_refused(quantize):
    with pytest.raises(RequestError, match=f"--quantize {quantize} is for CUDA and for CPUs.*mps"):
        check_quantization(quantize, torch.device("mps"))


def test_without_the_packages_the_pip_command_is_given(monkeypatch):
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match="needs bitsandbytes and accelerate: `pip install 'bits"):
        check_quantization("8bit", CUDA)
    with pytest.raises(RequestError, match="needs onnxruntime and onnx: `pip install 'onnxruntime"):
        check_quantization("8bit", CPU)
    with pytest.raises(RequestError, match="needs onnxruntime and onnx"):
        checkpoint.load_checkpoint("embedded", "cpu", quantize="8bit")
    monkeypatch.setattr(quantization, "find_spec", lambda name: object())
    check_quantization("8bit", CUDA)
    check_quantization("8bit", CPU)


@pytest.mark.parametrize(
    ("quantize", "extension", "missing", "backend", "reason"),
    [
        ("4bit", "avx512_bf16", (), "bitsandbytes", "AVX512-BF16"),
        ("4bit", "avx512_vnni", (), "onnxruntime", "no AVX512-BF16"),
        ("8bit", "avx512_bf16", (), "onnxruntime", "8 bits"),
        ("4bit", "avx512_bf16", ("bitsandbytes",), "onnxruntime", "not installed"),
        ("4bit", "avx512_bf16", ("bitsandbytes", "onnx"), "bitsandbytes", "AVX512-BF16"),
    ],
)
def test_the_backend_follows_the_processor(
    monkeypatch, quantize, extension, missing, backend, reason
):
    monkeypatch.setattr(hardware.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {extension: True})
    monkeypatch.setattr(
        quantization, "find_spec", lambda name: None if name in missing else object()
    )
    chosen, why = choose_backend(quantize)
    assert chosen == backend
    assert reason in why
    assert choose_backend(quantize, "onnxruntime") == ("onnxruntime", "as asked")


def test_none_needs_nothing():
    check_quantization("none", CPU)
    assert quantized_loading("none", CPU, torch.float32) == {}


def test_an_unknown_kind_is_refused():
    with pytest.raises(RequestError, match="no quantization '3bit'; use none, 8bit, 4bit"):
        check_quantization("3bit", CUDA)


@pytest.mark.parametrize(("quantize", "of_layers"), [("8bit", 1), ("4bit", 0.515625), ("none", 2)])
def test_only_the_decoder_s_layers_are_quantized(quantize, of_layers):
    model = build_random_model(build_processor(), seed=0)
    config = quantized_loading("4bit", CUDA, torch.bfloat16)["quantization_config"]
    linears = {name for name, module in model.named_modules() if type(module) is nn.Linear}
    quantized = {
        name for name in linears if should_convert_module(name, config.llm_int8_skip_modules)
    }
    assert len(quantized) == 4 * model.config.num_hidden_layers
    assert all(name.startswith("model.layers.") for name in quantized)
    for name in linears:
        expected = of_layers if name in quantized else 2
        assert bytes_per_weight(f"{name}.weight", torch.bfloat16, quantize) == expected


def test_the_memory_needed_depends_on_the_bits(monkeypatch, tiny_checkpoint):
    folder = tiny_checkpoint("phi35")
    monkeypatch.setattr(checkpoint, "free_memory", lambda device: 0)
    needed = []
    monkeypatch.setattr(checkpoint, "gigabytes", lambda count: needed.append(count) or "")
    for quantize in ("none", "8bit", "4bit"):
        with pytest.raises(RequestError):
            checkpoint.check_memory(folder, CUDA, torch.bfloat16, quantize)
    assert needed[0] > needed[2] > needed[4] > 0


def test_with_quantization_auto_chooses_phi_3_vision_on_a_smaller_gpu(monkeypatch):
    monkeypatch.setattr(checkpoint, "choose_device", lambda device: CUDA)
    monkeypatch.setattr(checkpoint, "free_memory", lambda device: 9_000_000_000)
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    assert checkpoint.choose_weights("auto")[0] == checkpoint.EMBEDDED
    assert checkpoint.choose_weights("auto", quantize="8bit")[0] == checkpoint.PUBLISHED
