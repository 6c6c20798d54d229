"""get_image_features as transformers' other models have it."""

import pytest
import torch
from support.models import build_processor, build_random_model
from support.prompts import prepare
from transformers.modeling_outputs import BaseModelOutputWithPooling


@pytest.fixture(scope="module")
def model():
    return build_random_model(build_processor(), 0)


@pytest.fixture(scope="module")
def pictures():
    inputs = prepare(build_processor(), [(400, 300), (30, 90)], num_crops=4)
    return {name: inputs[name] for name in ("pixel_values", "image_sizes")}


@torch.no_grad()
def test_head_and_base_give_the_same_features(model, pictures):
    features = model.get_image_features(**pictures)
    assert isinstance(features, BaseModelOutputWithPooling)
    expected = model.model.vision_embed_tokens(**pictures)
    for part, base, alone in zip(
        features.pooler_output,
        model.model.get_image_features(**pictures).pooler_output,
        expected,
        strict=True,
    ):
        assert torch.equal(part, base)
        assert torch.equal(part, alone)


@torch.no_grad()
@pytest.mark.parametrize("way", ["keyword", "config"])
def test_without_return_dict_they_are_a_tuple(model, pictures, way, monkeypatch):
    if way == "config":
        monkeypatch.setattr(model.config, "return_dict", False)
        states, features = model.get_image_features(**pictures)
        monkeypatch.undo()
    else:
        states, features = model.get_image_features(**pictures, return_dict=False)
    assert torch.equal(states, model.get_image_features(**pictures).last_hidden_state)
    assert len(features) == 2


@torch.no_grad()
def test_hidden_states_are_those_of_all_layers(model, pictures):
    plain = model.get_image_features(**pictures)
    asked = model.get_image_features(**pictures, output_hidden_states=True)
    assert plain.hidden_states is None
    assert len(asked.hidden_states) == model.config.vision_config.num_hidden_layers + 1
    assert torch.equal(asked.hidden_states[-2], plain.last_hidden_state)
    assert torch.equal(asked.pooler_output[0], plain.pooler_output[0])


@torch.no_grad()
def test_attentions_are_those_of_all_layers(model, pictures):
    eager = build_random_model(build_processor(), 0)
    eager.set_attn_implementation("eager")
    asked = eager.get_image_features(**pictures, output_attentions=True)
    assert len(asked.attentions) == eager.config.vision_config.num_hidden_layers
    assert asked.hidden_states is None


@torch.no_grad()
def test_features_replace_pixels_in_generate(model):
    inputs = prepare(build_processor(), [(400, 300)])
    encoded = model.get_image_features(inputs["pixel_values"], inputs["image_sizes"])
    text = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    options = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}
    replaced = model.generate(**text, mm_encoder_outputs={"image": encoded}, **options)
    assert torch.equal(replaced, model.generate(**inputs, **options))
