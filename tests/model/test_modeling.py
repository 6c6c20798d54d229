import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.golden import GOLDEN, golden_image, golden_json, published_folder
from transformers import AutoModelForCausalLM

from phi3v import Phi3VConfig, Phi3VForCausalLM, Phi3VImageProcessor
from phi3v.model.image_embedding import Phi3VImageEmbedding, merge_patches

MODEL_CASES = golden_json("model_cases.json")
CASES = MODEL_CASES["cases"]
SLOT = 32044


@pytest.fixture(scope="module")
def load_tiny(tiny_checkpoint):
    return lambda name, **kwargs: Phi3VForCausalLM.from_pretrained(
        tiny_checkpoint(name), dtype=torch.float32, **kwargs
    ).eval()


def inputs_of(name: str, vectors: dict) -> dict[str, torch.Tensor]:
    case = CASES[name]
    ids = torch.from_numpy(vectors[f"{name}/input_ids"]).long()[None]
    inputs = {"input_ids": torch.where(ids < 0, SLOT, ids)}
    images = [golden_image(**MODEL_CASES["images"][image]) for image in case["images"]]
    if images:
        inputs |= Phi3VImageProcessor()(images, num_crops=case["num_crops"])
    return inputs


def generate(model, inputs: dict, count: int = 20):
    return model.generate(
        **inputs,
        max_new_tokens=count,
        do_sample=False,
        eos_token_id=None,
        return_dict_in_generate=True,
        output_logits=True,
    )


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_forward_is_the_reference_s(load_tiny, golden_vectors, name, attention):
    model = load_tiny(CASES[name]["which"], attn_implementation=attention)
    expected = {key.split("/")[1]: v for key, v in golden_vectors.items() if key.startswith(name)}
    inputs = inputs_of(name, golden_vectors)
    output = model(**inputs, output_hidden_states=True)

    logits = output.logits[0].numpy()
    assert np.abs(logits[-1, ::101] - expected["logits_last_s101"]).max() < 2e-5
    assert (logits.argmax(-1) == expected["argmax"]).all()
    hidden = output.hidden_states[-1][0].numpy()[expected["rows"]]
    assert np.abs(hidden - expected["hidden_last_rows"]).max() < 2e-5


@pytest.mark.parametrize("name", CASES)
def test_greedy_decoding_is_the_reference_s(load_tiny, golden_vectors, name):
    output = generate(load_tiny(CASES[name]["which"]), inputs_of(name, golden_vectors))
    logits = torch.cat(output.logits)[:, ::401].numpy()
    assert output.sequences[0, -20:].tolist() == CASES[name]["greedy_ids"]
    assert np.abs(logits - golden_vectors[f"{name}/greedy_logits_s401"]).max() < 2e-5


def test_a_left_padded_batch_is_the_reference_s(load_tiny, golden_vectors):
    expected = {k: golden_vectors[f"batch_leftpad_phi35/{k}"] for k in ("input_ids", "greedy_ids")}
    mask = torch.from_numpy(golden_vectors["batch_leftpad_phi35/attention_mask"]).long()
    ids = torch.from_numpy(expected["input_ids"]).long()
    output = generate(load_tiny("phi35"), {"input_ids": ids, "attention_mask": mask})
    assert output.sequences[:, -20:].tolist() == expected["greedy_ids"].tolist()
    logits = torch.stack(output.logits, dim=1)[..., ::401].numpy()
    reference = golden_vectors["batch_leftpad_phi35/greedy_logits_s401"]
    assert np.abs(logits - reference).max() < 2e-5


@pytest.mark.parametrize("name", ["img1_nc1", "img1_nc4"])
@torch.no_grad()
def test_image_features_are_the_reference_s(load_tiny, golden_vectors, name):
    embedding = load_tiny("phi35").model.vision_embed_tokens
    inputs = inputs_of(name, golden_vectors)
    height, width = inputs["image_sizes"][0].tolist()
    real = 1 + height // 336 * (width // 336)
    patches = embedding.encode_crops(inputs["pixel_values"][0, :real])[:, ::48, ::4]
    reference = golden_vectors[f"{name}/clip_features_s"][0, :real]
    assert np.abs(patches.numpy() - reference).max() < 2e-5
    (tokens,) = embedding(inputs["pixel_values"], inputs["image_sizes"])
    reference = golden_vectors[f"{name}/img_projection_s8"]
    assert np.abs(tokens[::8].numpy() - reference).max() < 2e-5


def test_two_by_two_patches_are_merged_in_row_major_order():
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    patches = torch.stack([rows, columns], dim=-1).view(1, 576, 2)
    cell = merge_patches(patches)[0, 5, 7].view(4, 2).tolist()
    assert cell == [[10, 14], [10, 15], [11, 14], [11, 15]]


def test_crops_are_arranged_as_in_the_image():
    """Every token is marked with its crop, row and column; newlines are -1, the separator -2."""
    vision = {"hidden_size": 1, "num_attention_heads": 1, "image_size": 336, "patch_size": 14}
    config = Phi3VConfig(hidden_size=8, num_attention_heads=1, vision_config=vision)
    embedding = Phi3VImageEmbedding(config)
    embedding.sub_GN.data.fill_(-1)
    embedding.glb_GN.data.fill_(-2)
    marks = torch.arange(7 * 144).view(7, 12, 12, 1).expand(-1, -1, -1, 4).float()
    tokens = embedding.arrange_tokens(marks[0], marks[1:], rows=2, columns=3)[:, 0].long()
    sub_rows = tokens[: 24 * 37].view(24, 37)
    assert (sub_rows[:, -1] == -1).all()
    for row in range(24):
        for column in range(36):
            crop = 1 + row // 12 * 3 + column // 12
            assert sub_rows[row, column] == crop * 144 + row % 12 * 12 + column % 12
    assert tokens[24 * 37] == -2
    global_rows = tokens[24 * 37 + 1 :].view(12, 13)
    assert torch.equal(global_rows[:, :12].flatten(), torch.arange(144))


class CountCrops(torch.nn.Module):
    """Wraps a vision tower's embeddings and counts the crops that pass."""

    def __init__(self, embeddings):
        super().__init__()
        self.embeddings, self.count = embeddings, 0

    def forward(self, crops):
        self.count += len(crops)
        return self.embeddings(crops)


@pytest.mark.parametrize(("num_crops", "crops_run"), [(1, 1), (4, 5), (16, 13)])
@torch.no_grad()
def test_padding_crops_and_the_repeated_global_crop_never_run(load_tiny, num_crops, crops_run):
    embedding = load_tiny("phi35").model.vision_embed_tokens
    tower = embedding.img_processor["vision_model"]
    tower.embeddings = CountCrops(tower.embeddings)
    embedding(**Phi3VImageProcessor()(golden_image(640, 480), num_crops=num_crops))
    assert tower.embeddings.count == crops_run


@torch.no_grad()
def test_images_of_different_grids_have_the_same_features_together_and_alone(load_tiny):
    embedding = load_tiny("phi35").model.vision_embed_tokens
    images = [golden_image(640, 480), golden_image(30, 20), golden_image(100, 2000)]
    together = embedding(**Phi3VImageProcessor(num_crops=4)(images))
    for image, tokens in zip(images, together, strict=True):
        (alone,) = embedding(**Phi3VImageProcessor(num_crops=4)(image))
        assert torch.allclose(tokens, alone, atol=1e-5)


@pytest.mark.parametrize("which", ["phi3_mid", "phi35_mid"])
@torch.no_grad()
def test_generation_over_the_short_context_equals_a_fresh_forward_with_images(load_tiny, which):
    """RoPE factors change at 340 tokens here; an image's 313 and some text come close to that."""
    model = load_tiny(which)
    pictures = Phi3VImageProcessor(num_crops=1)(golden_image(333, 517))
    ids = torch.tensor([[1, *[SLOT] * 313, *range(500, 520)]])
    output = generate(model, {"input_ids": ids, **pictures}, count=16)
    assert ids.shape[1] < 340 < output.sequences.shape[1]
    for step, logits in enumerate(output.logits):
        prefix = output.sequences[:, : ids.shape[1] + step]
        fresh = model(input_ids=prefix, **pictures).logits[:, -1]
        assert (fresh - logits).abs().max() < 2e-5


def test_a_padded_batch_over_the_short_context_equals_each_row_alone(load_tiny):
    model = load_tiny("phi35_short")
    short, long = torch.arange(500, 520)[None], torch.arange(600, 660)[None]
    ids = torch.cat([torch.nn.functional.pad(short, (40, 0)), long])
    mask = torch.ones_like(ids)
    mask[0, :40] = 0
    together = generate(model, {"input_ids": ids, "attention_mask": mask})
    alone = generate(model, {"input_ids": long})
    assert torch.equal(together.sequences[1], alone.sequences[0])
    # padding does not count towards the short context
    wide = torch.nn.functional.pad(short, (80, 0))
    padded = generate(model, {"input_ids": wide, "attention_mask": (wide > 0).long()})
    plain = generate(model, {"input_ids": short})
    assert torch.equal(padded.sequences[0, -20:], plain.sequences[0, -20:])


@torch.no_grad()
def test_slots_without_enough_features_are_refused_with_both_counts(load_tiny):
    pictures = Phi3VImageProcessor(num_crops=1)(golden_image(30, 20))
    with pytest.raises(ValueError, match="300 image slots and the images have 313 features"):
        load_tiny("phi3")(input_ids=torch.full((1, 300), SLOT), **pictures)


@pytest.mark.parametrize("which", ["phi3", "phi35"])
def test_rotary_factors_are_the_reference_s(which):
    from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

    name = {"phi3": "phi-3-vision-128k-instruct", "phi35": "phi-3.5-vision-instruct"}[which]
    config = Phi3VConfig.from_pretrained(published_folder(name))
    rotary = Phi3RotaryEmbedding(config)
    assert rotary.attention_scaling == pytest.approx(1.1902380714, abs=1e-9)
    with np.load(GOLDEN / "rope_real.npz") as archive:
        for length in ("short", "long"):
            reference = {k: archive[f"{which}/{length}/{k}"] for k in ("pos", "cos", "sin")}
            positions = torch.from_numpy(reference["pos"]).long()[None]
            cos, sin = rotary(torch.zeros(1), positions)
            assert np.abs(cos[0].numpy() - reference["cos"]).max() < 1e-6
            assert np.abs(sin[0].numpy() - reference["sin"]).max() < 1e-6


def test_published_tensors_and_shapes_equal_the_model_s(published):
    config = Phi3VConfig.from_pretrained(published)
    with torch.device("meta"):
        model = Phi3VForCausalLM(config)
    ours = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    theirs = json.loads((published / "tensor_shapes.json").read_text())
    assert ours == theirs
    assert len(ours) == 592
    assert sum(p.numel() for p in model.parameters()) == 4_146_621_440


def test_sharded_files_load_like_a_single_one(load_tiny, tiny_checkpoint, tmp_path):
    model = load_tiny("phi35")
    model.save_pretrained(tmp_path, max_shard_size="4MB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    again = Phi3VForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


def broken_copy(folder, target, change) -> None:
    shutil.copytree(folder, target, dirs_exist_ok=True)
    from safetensors.torch import load_file

    tensors = change(load_file(folder / "model.safetensors"))
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {k: v for k, v in t.items() if k != "model.norm.weight"}, "missing.*model.norm"),
        (lambda t: {**t, "model.extra.weight": torch.ones(2)}, "unexpected.*model.extra"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tiny_checkpoint, tmp_path, change, message):
    broken_copy(tiny_checkpoint("phi35"), tmp_path, change)
    with pytest.raises(ValueError, match=message):
        Phi3VForCausalLM.from_pretrained(tmp_path)


def test_the_second_copy_of_the_text_embedding_is_ignored(tiny_checkpoint, tmp_path):
    extra = "model.vision_embed_tokens.wte.weight"
    broken_copy(
        tiny_checkpoint("phi35"),
        tmp_path,
        lambda t: {**t, extra: t["model.embed_tokens.weight"].clone()},
    )
    assert Phi3VForCausalLM.from_pretrained(tmp_path) is not None


def test_pickled_weights_are_refused(tiny_checkpoint, golden_weights, tmp_path):
    shutil.copy(tiny_checkpoint("phi35") / "config.json", tmp_path)
    torch.save(golden_weights, tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        Phi3VForCausalLM.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="can run code"):
        Phi3VForCausalLM.from_pretrained(tmp_path, use_safetensors=False)


def test_the_attention_named_in_the_config_is_ignored(tiny_checkpoint, tmp_path):
    shutil.copytree(tiny_checkpoint("phi35"), tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["_attn_implementation"] = "flash_attention_2"
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.config._attn_implementation == "sdpa"
    tower = model.model.vision_embed_tokens.img_processor["vision_model"]
    assert tower.config._attn_implementation == "sdpa"
    assert model.config.sliding_window is None
