"""What a checkpoint may lack, and what a caller may change while it is loaded."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.models import build_processor, build_random_model
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from phi3v import Phi3VForCausalLM
from phi3v.model import Phi3VModel

IDS = torch.tensor([[5, 6, 7, 8]])


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture(scope="module")
def untied(processor, tmp_path_factory):
    return save(build_random_model(processor, 0), tmp_path_factory.mktemp("untied"))


@pytest.fixture(scope="module")
def tied(processor, tmp_path_factory):
    model = build_random_model(processor, 0, tie_word_embeddings=True)
    return save(model, tmp_path_factory.mktemp("tied"))


def save(model, folder):
    model.save_pretrained(folder)
    return folder


def test_tensors_of_another_shape_are_refused(untied):
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        AutoModelForCausalLM.from_pretrained(untied, vocab_size=999)


def test_tensors_of_another_shape_are_new_if_asked(untied):
    model = AutoModelForCausalLM.from_pretrained(
        untied, vocab_size=999, ignore_mismatched_sizes=True
    )
    assert len(model.lm_head.weight) == len(model.model.embed_tokens.weight) == 999
    saved = load_file(untied / "model.safetensors")
    assert torch.equal(model.model.norm.weight, saved["model.norm.weight"])


def test_that_does_not_excuse_a_missing_tensor(untied, tmp_path):
    tensors = load_file(untied / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text((untied / "config.json").read_text())
    with pytest.raises(ValueError, match=r"missing: model\.norm\.weight"):
        Phi3VForCausalLM.from_pretrained(tmp_path, ignore_mismatched_sizes=True)


@pytest.mark.parametrize("way", ["keyword", "config"])
def test_a_tied_head_is_untied_if_asked_and_begins_as_a_copy(tied, way):
    if way == "keyword":
        asked = {"tie_word_embeddings": False}
    else:
        asked = {"config": AutoConfig.from_pretrained(tied, tie_word_embeddings=False)}
    model = Phi3VForCausalLM.from_pretrained(tied, **asked)
    assert model.lm_head.weight is not model.model.embed_tokens.weight
    same = Phi3VForCausalLM.from_pretrained(tied)
    assert same.lm_head.weight is same.model.embed_tokens.weight
    assert torch.equal(model(IDS).logits, same(IDS).logits)


def test_an_untied_copy_of_a_tied_model_loads_again(tied, tmp_path):
    Phi3VForCausalLM.from_pretrained(tied, tie_word_embeddings=False).save_pretrained(tmp_path)
    again = Phi3VForCausalLM.from_pretrained(tmp_path)
    assert again.lm_head.weight is not again.model.embed_tokens.weight


@pytest.mark.parametrize("which", ["tied", "untied"])
def test_a_save_of_the_base_model_loads_into_the_head(which, tmp_path, request):
    whole = Phi3VForCausalLM.from_pretrained(request.getfixturevalue(which))
    save(whole.model, tmp_path)
    model, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert torch.equal(model.model(IDS).last_hidden_state, whole.model(IDS).last_hidden_state)
    assert set(info["missing_keys"]) == (set() if which == "tied" else {"lm_head.weight"})
    assert bool(model.lm_head.weight.any())


def test_a_head_that_was_saved_and_is_gone_is_missed(untied, tmp_path):
    tensors = load_file(untied / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text((untied / "config.json").read_text())
    with pytest.raises(ValueError, match=r"missing: lm_head\.weight"):
        Phi3VForCausalLM.from_pretrained(tmp_path)


def test_a_whole_checkpoint_loads_into_the_base_model(untied):
    model = AutoModel.from_pretrained(untied)
    assert type(model) is Phi3VModel
    whole = Phi3VForCausalLM.from_pretrained(untied)
    assert torch.equal(model(IDS).last_hidden_state, whole.model(IDS).last_hidden_state)


def test_the_base_model_is_as_strict(untied, tmp_path):
    tensors = {"model.extra.weight": torch.ones(2), **load_file(untied / "model.safetensors")}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text((untied / "config.json").read_text())
    with pytest.raises(ValueError, match=r"unexpected: .*extra\.weight"):
        AutoModel.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="can run code"):
        AutoModel.from_pretrained(untied, use_safetensors=False)


def test_gradient_checkpointing_in_the_config_is_obeyed_and_not_saved(untied, tmp_path):
    config = json.loads((untied / "config.json").read_text()) | {"gradient_checkpointing": True}
    config = Phi3VForCausalLM.config_class.from_dict(config)
    model = Phi3VForCausalLM.from_pretrained(untied, config=config)
    assert model.is_gradient_checkpointing
    tower = model.model.vision_embed_tokens.img_processor["vision_model"]
    assert all(
        layer.gradient_checkpointing for layer in [*tower.encoder.layers, *model.model.layers]
    )
    save(model, tmp_path)
    assert "gradient_checkpointing" not in json.loads((tmp_path / "config.json").read_text())


def test_the_decoder_is_built_once(untied, monkeypatch):
    from transformers.models.phi3.modeling_phi3 import Phi3Model

    built = []
    real = Phi3Model.__init__
    monkeypatch.setattr(
        Phi3Model, "__init__", lambda self, config: built.append(self) or real(self, config)
    )
    Phi3VForCausalLM.from_pretrained(untied)
    assert len(built) == 1
