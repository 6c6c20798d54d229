"""Adapters on top of a model: chosen per request, in effect everywhere, refused where unfit."""

import json
import shutil

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from support import graph_stand_in
from support.conversations import (
    PICTURES,
    answer,
    build_precise_model,
    build_small_processor,
)

from phi3v import Engine, Turn
from phi3v.inference.adapter_files import AdapterPlace, check_adapters, name_adapters
from phi3v.inference.adapters import Adapters
from phi3v.model import cuda_graphs
from phi3v.request import RequestError

KINDS = {
    "decoder": {"target_modules": ["qkv_proj", "down_proj"]},
    "tower": {"target_modules": ["q_proj", "v_proj"]},
    "vision": {"target_modules": ["o_proj"], "modules_to_save": ["vision_embed_tokens"]},
    "head": {"target_modules": ["embed_tokens", "lm_head"]},
}
TURNS = [Turn("user", "What is it?", (PICTURES[0],))]


@pytest.fixture(scope="module")
def processor():
    return build_small_processor()


@pytest.fixture
def model(processor):
    return build_precise_model(processor)


@pytest.fixture(scope="module")
def folders(processor, tmp_path_factory):
    """A folder of each kind, with random weights that change every answer."""
    root = tmp_path_factory.mktemp("adapters")
    for name, options in KINDS.items():
        save_adapter(build_precise_model(processor), root / name, **options)
    return root


def save_adapter(model, folder, config=LoraConfig, **options):
    torch.manual_seed(5)
    peft = get_peft_model(model, config(**({"r": 4} if config is LoraConfig else {}), **options))
    for name, weight in peft.named_parameters():
        if weight.requires_grad:
            scale = 0.3 if "lora" in name else 0.5
            weight.data += torch.randn_like(weight) * scale
    peft.save_pretrained(folder)
    return folder


def load_all(model, processor, folders, names=tuple(KINDS), **options) -> Engine:
    places = tuple(AdapterPlace(name, str(folders / name)) for name in names)
    adapters = Adapters(model, places)
    return Engine(model, processor, "random", adapters=adapters, **options)


def text_of(engine, adapter, turns=TURNS) -> str:
    text, statistics = answer(engine, turns, adapter=adapter)
    assert statistics.adapter == (adapter or "")
    return text


def test_each_adapter_changes_the_answer_and_none_gives_the_model_s_own(model, processor, folders):
    own = text_of(Engine(build_precise_model(processor), processor, "random"), "")
    engine = load_all(model, processor, folders)
    answers = {name: text_of(engine, name) for name in KINDS}
    assert len({own, *answers.values()}) == len(KINDS) + 1
    for name in [*KINDS, *reversed(KINDS)]:  # with caches of all of them
        assert text_of(engine, "") == own
        assert text_of(engine, name) == answers[name]


def test_an_adapter_alone_gives_the_answer_of_peft(model, processor, folders):
    from peft import PeftModel

    engine = load_all(model, processor, folders)
    for name in KINDS:
        peft = PeftModel.from_pretrained(build_precise_model(processor), folders / name)
        expected = Engine(peft.base_model.model, processor, "random")
        assert text_of(engine, name) == text_of(expected, "")


@torch.no_grad()
def test_without_an_adapter_the_logits_are_bit_equal(processor, folders):
    for dtype in (torch.float32, torch.bfloat16):
        plain = build_precise_model(processor).to(dtype)
        loaded = build_precise_model(processor).to(dtype)
        engine = load_all(loaded, processor, folders)
        engine.adapters.choose("decoder")
        engine.adapters.choose("")
        options = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None}
        options |= {"output_logits": True, "return_dict_in_generate": True}
        found, expected = (
            model.generate(
                torch.arange(3, 20)[None], past_key_values=cuda_graphs.GrowingCache(), **options
            ).logits
            for model in (loaded, plain)
        )
        assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def test_the_first_adapter_answers_whoever_does_not_choose(model, processor, folders):
    engine = load_all(model, processor, folders)
    _, statistics = answer(engine, TURNS)
    assert statistics.adapter == "decoder"


def test_no_cached_prefix_or_feature_of_one_adapter_serves_another(model, processor, folders):
    engine = load_all(model, processor, folders)
    for adapter in ("", "decoder", "tower"):
        _, first = answer(engine, TURNS, adapter=adapter)
        assert first.reused_tokens == 0
        _, second = answer(engine, TURNS, adapter=adapter)
        assert second.reused_tokens == second.prompt_tokens - 1
    assert engine.vision_cache.encoded_images == 3


def test_captured_steps_answer_with_the_adapter_in_effect(model, processor, folders, monkeypatch):
    names = ("decoder", "head")
    eager = load_all(build_precise_model(processor), processor, folders, names)
    graph_stand_in.install(monkeypatch)
    monkeypatch.setattr(cuda_graphs, "MIN_SLOTS", 512)
    monkeypatch.setattr(cuda_graphs, "SLOT_STEP", 16)
    captured = load_all(model, processor, folders, names, replay_bytes=1_000_000)
    for adapter in ("decoder", "", "head", "decoder", ""):
        assert text_of(captured, adapter) == text_of(eager, adapter), adapter
    steps = captured.prefix_cache.captured_steps
    assert steps.is_enabled
    assert steps.num_captures == 3 * len(steps.sizes)


def test_an_unknown_adapter_is_refused_with_the_known_ones(model, processor, folders):
    engine = load_all(model, processor, folders, ("decoder", "tower"))
    with pytest.raises(RequestError, match="no adapter 'other'; there is: decoder, tower"):
        answer(engine, TURNS, adapter="other")


def change_tensors(folder, target, change):
    shutil.copytree(folder, target)
    file = target / "adapter_model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return AdapterPlace("mine", str(target))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: dict(list(t.items())[1:]), r"missing: model\.layers\.0\..*lora_A"),
        (lambda t: {**t, "model.extra": torch.ones(2)}, r"unexpected: model\.extra"),
        (
            lambda t: {k: v[:, :-1].contiguous() if "lora_A" in k else v for k, v in t.items()},
            r"another shape: .*lora_A.*and \d more|another shape: .*lora_A",
        ),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_tensors_that_do_not_fit_are_named_and_leave_the_model_as_it_was(
    model, folders, tmp_path, change, message
):
    place = change_tensors(folders / "decoder", tmp_path / "broken", change)
    before = list(model.state_dict())
    with pytest.raises(RequestError, match=message):
        Adapters(model, (place,))
    assert list(model.state_dict()) == before


def test_an_adapter_of_another_model_is_refused(model, folders, tmp_path):
    shutil.copytree(folders / "decoder", tmp_path / "other")
    config = tmp_path / "other" / "adapter_config.json"
    changed = json.loads(config.read_text()) | {"target_modules": ["query_key_value"]}
    config.write_text(json.dumps(changed))
    with pytest.raises(RequestError, match="mine does not fit this model: Target modules"):
        Adapters(model, (AdapterPlace("mine", str(tmp_path / "other")),))


def test_a_trained_embedding_beside_an_adapter_is_refused(model, folders, tmp_path):
    def train(tensors):
        name = next(name for name in tensors if "embed_tokens" in name and "lora" not in name)
        return {**tensors, name: tensors[name] + 1}

    place = change_tensors(folders / "head", tmp_path / "trained", train)
    with pytest.raises(RequestError, match="unexpected: .*embed_tokens"):
        Adapters(model, (place,))


def test_prompt_learning_is_refused(model, processor, tmp_path):
    folder = save_adapter(
        build_precise_model(processor),
        tmp_path / "prompt",
        PromptTuningConfig,
        num_virtual_tokens=3,
        task_type="CAUSAL_LM",
    )
    with pytest.raises(RequestError, match="changes prompts instead of weights"):
        Adapters(model, (AdapterPlace("mine", str(folder)),))


def test_pickled_adapters_are_refused(folders, tmp_path):
    place = shutil.copytree(folders / "decoder", tmp_path / "pickled")
    tensors = load_file(place / "adapter_model.safetensors")
    (place / "adapter_model.safetensors").unlink()
    torch.save(tensors, place / "adapter_model.bin")
    with pytest.raises(RequestError, match=r"adapter_model\.bin, which are not loaded"):
        check_adapters(name_adapters((str(place),)))


def test_pickles_that_were_trained_beside_an_adapter_are_refused(folders, tmp_path):
    place = shutil.copytree(folders / "decoder", tmp_path / "beside")
    torch.save({}, place / "non_lora_state_dict.bin")
    with pytest.raises(RequestError, match=r"non_lora_state_dict\.bin"):
        check_adapters(name_adapters((str(place),)))


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(RequestError, match=r"no adapter_config\.json and no adapter_model"):
        check_adapters(name_adapters((str(tmp_path),)))
    with pytest.raises(RequestError, match="no adapter folder './nowhere'"):
        check_adapters(name_adapters(("./nowhere",)))


@pytest.mark.parametrize(
    ("given", "names"),
    [(("out/receipts",), ["receipts"]), (("mine=out/a", "user/other"), ["mine", "other"])],
)
def test_an_adapter_is_named_by_its_flag_or_the_last_part_of_its_place(given, names):
    assert [place.name for place in name_adapters(given)] == names


@pytest.mark.parametrize("given", [("=a/b",), ("a=",), ("one/x", "two/x")])
def test_adapters_without_a_name_of_their_own_are_refused(given):
    with pytest.raises(RequestError, match="adapter"):
        name_adapters(given)


def test_without_peft_the_message_says_how_to_install_it(monkeypatch):
    from phi3v.inference import adapter_files

    monkeypatch.setattr(adapter_files, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match="needs the package peft: `pip install"):
        check_adapters(name_adapters(("user/other",)))
