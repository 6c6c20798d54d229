"""Copies with 8-bit and 4-bit weights: made once, whole or made anew; answers from them."""

import json
import shutil

import pytest
import torch
from huggingface_hub import constants
from support.models import build_processor, build_random_model
from torch import nn

from phi3v.inference import quantized_copy
from phi3v.inference.checkpoint import load_checkpoint
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.inference.hardware import has_avx512_bfloat16
from phi3v.inference.loading import load
from phi3v.inference.quantized_copy import MANIFEST, Weights, find_copy, name_copy
from phi3v.inference.quantized_linear import OnnxLinear, build_linear, convert_weight
from phi3v.inference.quantized_loading import load_quantized
from phi3v.request import Request, RequestError, Sampling, Turn

pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
pytest.importorskip("onnx", reason="needs the package onnx")

FOUR_BITS = Weights("4bit", "onnxruntime", torch.float32)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder in HF_HOME's place, for the whole file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A random checkpoint of two decoder layers, and a cache of its own."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    build_random_model(build_processor(), seed=0).save_pretrained(tmp_path / "random")
    return tmp_path / "random"


def forbid(*args):
    raise AssertionError("converted again")


def test_a_copy_is_made_once(folder, monkeypatch):
    copy = find_copy(folder, FOUR_BITS)
    assert {file.name for file in copy.iterdir()} == {
        "layer-00.safetensors",
        "layer-01.safetensors",
        "others.safetensors",
        MANIFEST,
    }
    monkeypatch.setattr(quantized_copy, "write_copy", forbid)
    assert find_copy(folder, FOUR_BITS) == copy


def test_other_settings_and_other_weights_have_copies_of_their_own(folder):
    names = {
        name_copy(folder, FOUR_BITS),
        name_copy(folder, Weights("8bit", "onnxruntime", torch.float32)),
        name_copy(folder, Weights("4bit", "onnxruntime", torch.bfloat16)),
    }
    build_random_model(build_processor(), seed=1).save_pretrained(folder)
    assert len(names | {name_copy(folder, FOUR_BITS)}) == 4


def tear(copy):
    file = copy / "layer-01.safetensors"
    file.write_bytes(file.read_bytes()[:-8])


def lose(copy):
    (copy / "others.safetensors").unlink()


def spoil_header(copy):
    file = copy / "layer-01.safetensors"
    file.write_bytes(b"\xff" * file.stat().st_size)


def spoil_manifest(copy):
    (copy / MANIFEST).write_text("[")


def list_nothing(copy):
    (copy / MANIFEST).write_text("{}")


@pytest.mark.parametrize("damage", [tear, lose, spoil_header, spoil_manifest, list_nothing])
def test_a_damaged_copy_is_made_anew(folder, damage):
    copy = find_copy(folder, FOUR_BITS)
    before = (copy / "layer-01.safetensors").read_bytes()
    damage(copy)
    assert find_copy(folder, FOUR_BITS) == copy
    assert (copy / "layer-01.safetensors").read_bytes() == before
    assert len(json.loads((copy / MANIFEST).read_text())) == 3


def test_an_interrupted_conversion_leaves_no_copy(folder, monkeypatch):
    real = quantized_copy.save_file

    def interrupt(tensors, file):
        if "layer-01" in file.name:
            raise KeyboardInterrupt
        real(tensors, file)

    monkeypatch.setattr(quantized_copy, "save_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        find_copy(folder, FOUR_BITS)
    home = name_copy(folder, FOUR_BITS).parent
    assert [path.suffix for path in home.iterdir() if path.suffix != ".lock"] == []


def test_a_disk_without_room_is_refused_with_both_sizes(folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 10, 10))
    with pytest.raises(RequestError, match=r"in 4bit needs 0\.0 GB on the disk.*0\.0 GB free"):
        find_copy(folder, FOUR_BITS)


def test_a_cache_that_cannot_be_written_is_refused(folder, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "file"))
    with pytest.raises(RequestError, match="cannot be written.*Set HF_HOME"):
        find_copy(folder, FOUR_BITS)


def test_a_checkpoint_that_does_not_fit_is_named(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ValueError, match=r"missing: model\.layers\.2\.mlp\.down_proj\.weight"):
        load_quantized(folder, FOUR_BITS, "sdpa")
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(ValueError, match=r"unexpected: model\.layers\.1\.mlp\.down_proj\.weight"):
        load_quantized(folder, FOUR_BITS, "sdpa")


@pytest.mark.parametrize("width", [128, 100], ids=["whole blocks", "a block is padded"])
@pytest.mark.parametrize(("quantize", "most"), [("8bit", 0.015), ("4bit", 0.15)])
def test_a_product_of_converted_weights_is_nearly_the_same(width, quantize, most):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(300, width, generator=generator)
    weight[7] = 0
    states = torch.randn(1, 5, width, generator=generator)
    expected = states @ weight.T
    linear = build_linear(convert_weight(weight, quantize, "onnxruntime"), width, "onnxruntime")
    output = linear(states)
    assert output.shape == (1, 5, 300)
    assert (output - expected).norm() < most * expected.norm()
    assert torch.equal(output[..., 7], torch.zeros(1, 5))
    assert linear(states.bfloat16()).dtype == torch.bfloat16


def answer(engine) -> str:
    book = str(EMBEDDED_FOLDER.parent / "examples" / "book.png")
    turns = (Turn("user", "What is the title of this book and who wrote it?", (book,)),)
    request = Request(turns, Sampling(max_new_tokens=24), num_crops=1)
    return "".join(chunk.text for chunk in engine.stream(request))


@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
def test_the_embedded_checkpoint_reads_a_title_with_fewer_bits(home, quantize):
    engine = load("embedded", "cpu", "float32", quantize=quantize, backend="onnxruntime")
    assert engine.quantize == quantize
    assert 'The title of the book is "ALONE"' in answer(engine)


def test_only_the_decoder_s_linear_layers_are_quantized(home):
    model, _ = load_checkpoint("embedded", "cpu", "float32", "sdpa", "4bit", "onnxruntime")
    plain, _ = load_checkpoint("embedded", "cpu", "float32", "sdpa")
    quantized = {name for name, part in model.named_modules() if isinstance(part, OnnxLinear)}
    linears = {name for name, part in plain.named_modules() if isinstance(part, nn.Linear)}
    assert quantized == {name for name in linears if name.startswith("model.layers.")}
    kept = model.state_dict()
    assert all(
        torch.equal(kept[name], tensor)
        for name, tensor in plain.state_dict().items()
        if name.removesuffix(".weight") not in quantized
    )
    buffers = dict(plain.named_buffers())
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())


def test_the_log_says_the_backend_and_why(home, caplog):
    with caplog.at_level("INFO", logger="phi3v"):
        load_checkpoint("embedded", "cpu", "float32", "sdpa", "4bit", "onnxruntime")
    assert "language model's weights in 4bit by onnxruntime (as asked)." in caplog.text


@pytest.mark.skipif(not has_avx512_bfloat16(), reason="needs a processor with AVX512-BF16")
def test_bitsandbytes_reads_the_same_title(home):
    pytest.importorskip("bitsandbytes", reason="needs the package bitsandbytes")
    engine = load("embedded", "cpu", quantize="4bit", backend="bitsandbytes")
    assert 'The title of the book is "ALONE"' in answer(engine)
