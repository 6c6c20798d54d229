"""What trainers ask of the model: labels, packing, gradient checkpointing, LoRA."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from support.models import build_processor, build_random_model, generate
from support.prompts import prepare
from torch.nn import functional
from transformers import DynamicCache

from phi3v.model.decoding import GrowingCache


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture
def model(processor):
    return build_random_model(processor, 0)


def example(processor, size=(400, 300), answer="A red circle.<|end|>") -> dict:
    """A question about a picture and its answer, labelled from the answer on."""
    question = prepare(processor, [size])["input_ids"].shape[1]
    inputs = prepare(processor, [size], answer=answer)
    labels = inputs["input_ids"].clone()
    labels[:, :question] = -100
    return {**inputs, "labels": labels}


def gradients(model, inputs: dict) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(**inputs, use_cache=False).loss.backward()
    named = model.named_parameters()
    return {name: weight.grad.clone() for name, weight in named if weight.grad is not None}


def test_the_loss_is_the_cross_entropy_of_the_labelled_tokens(model, processor):
    inputs = example(processor)
    output = model(**inputs)
    labels = inputs["labels"][:, 1:]
    expected = functional.cross_entropy(output.logits[:, :-1].transpose(1, 2), labels)
    assert torch.allclose(output.loss, expected)


def test_gradients_reach_tower_projector_and_decoder(model, processor):
    found = gradients(model.train(), example(processor))
    without = {name for name, _ in model.named_parameters() if name not in found}
    tower = model.model.vision_embed_tokens.img_processor["vision_model"]
    last = len(tower.encoder.layers) - 1
    # whose last layer and norm never run
    assert all(f"encoder.layers.{last}." in name or "post_layernorm" in name for name in without)


def test_gradient_checkpointing_changes_no_gradient(model, processor):
    inputs = example(processor)
    expected = gradients(model.train(), inputs)
    model.gradient_checkpointing_enable()
    found = gradients(model, inputs)
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], atol=1e-6) for name in found)


@torch.no_grad()
def test_packed_conversations_do_not_see_each_other(model, processor):
    """Two in one row, told apart by positions that begin anew, without attention mask."""
    pair = [example(processor, size) for size in ((400, 300), (30, 90))]
    packed = {
        name: torch.cat([one[name] for one in pair], dim=1) for name in ("input_ids", "labels")
    }
    packed |= {
        name: torch.cat([one[name] for one in pair]) for name in ("pixel_values", "image_sizes")
    }
    lengths = [one["input_ids"].shape[1] for one in pair]
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    logits = model(**packed, position_ids=positions, use_cache=False).logits.split(lengths, dim=1)
    for found, one in zip(logits, pair, strict=True):
        assert torch.allclose(found, model(**one).logits, atol=1e-5)


LORA = {
    "decoder": {"target_modules": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]},
    "tower": {"target_modules": ["q_proj", "v_proj"]},
    "head and embedding": {"target_modules": ["embed_tokens", "lm_head"]},
    "projector, whole": {"target_modules": ["qkv_proj"], "modules_to_save": ["img_projection"]},
    "vision part, whole": {
        "target_modules": ["qkv_proj"],
        "modules_to_save": ["vision_embed_tokens"],
    },
}


def train(model, inputs: dict, steps: int = 4, **options) -> PeftModel:
    """A LoRA that has learnt a little of one example."""
    torch.manual_seed(1)
    peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=16, **options)).train()
    optimizer = torch.optim.AdamW([p for p in peft.parameters() if p.requires_grad], lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        peft(**inputs).loss.backward()
        optimizer.step()
    return peft.eval()


@pytest.mark.parametrize("which", LORA)
def test_a_trained_lora_is_the_same_once_saved_and_loaded(processor, model, tmp_path, which):
    inputs = example(processor)
    before = model(**inputs).loss
    trained = train(model, inputs, **LORA[which])
    after = trained(**inputs)
    assert after.loss < before
    trained.save_pretrained(tmp_path)
    assert (tmp_path / "adapter_model.safetensors").exists()
    again = PeftModel.from_pretrained(build_random_model(processor, 0), tmp_path)
    assert torch.equal(again(**inputs).logits, after.logits)


def test_decode_steps_answer_with_a_lora_as_the_forward_pass_does(processor, model):
    options = LORA["decoder"]
    trained = train(model, example(processor), **options)
    prompt = prepare(processor, [])["input_ids"][0].tolist()
    whole = trained.base_model.model
    ids, logits = generate(whole, GrowingCache(), prompt, 8)
    plain_ids, plain_logits = generate(whole, DynamicCache(config=whole.config), prompt, 8)
    assert ids == plain_ids
    assert torch.allclose(logits, plain_logits, atol=1e-5)
    with trained.disable_adapter():
        _, without = generate(whole, GrowingCache(), prompt, 8)
    base = build_random_model(processor, 0)
    assert torch.equal(without, generate(base, GrowingCache(), prompt, 8)[1])
    assert not torch.equal(without, logits)
