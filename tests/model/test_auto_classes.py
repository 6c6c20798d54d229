import json
import shutil
import subprocess
import sys

import pytest
import torch
from PIL import Image
from support.models import build_processor, build_random_model
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
    pipeline,
)
from transformers.pipelines import any_to_any

import phi3v
from phi3v.model import Phi3VModel


@pytest.mark.parametrize("options", [{}, {"trust_remote_code": True}])
def test_published_files_load_with_our_classes_whatever_the_caller_trusts(published, options):
    assert type(AutoConfig.from_pretrained(published, **options)) is phi3v.Phi3VConfig
    image_processor = AutoImageProcessor.from_pretrained(published, **options)
    assert type(image_processor) is phi3v.Phi3VImageProcessor
    processor = AutoProcessor.from_pretrained(published, **options)
    assert type(processor) is phi3v.Phi3VProcessor
    published_crops = json.loads((published / "preprocessor_config.json").read_text())["num_crops"]
    assert processor.image_processor.num_crops == published_crops


@pytest.mark.parametrize("options", [{}, {"trust_remote_code": True, "torch_dtype": "auto"}])
@pytest.mark.parametrize(
    "auto_class", [AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM]
)
def test_a_published_config_s_auto_map_is_ignored(tiny_checkpoint, auto_class, options):
    folder = tiny_checkpoint("phi35")
    assert "auto_map" in json.loads((folder / "config.json").read_text())
    model = auto_class.from_pretrained(folder, **options)
    assert type(model) is phi3v.Phi3VForCausalLM


def test_auto_model_is_the_model_without_its_head(tiny_checkpoint):
    assert type(AutoModel.from_pretrained(tiny_checkpoint("phi35"))) is Phi3VModel


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    processor = build_processor()
    build_random_model(processor, 0).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("task", ["image-text-to-text", "any-to-any"])
def test_pipelines_for_images_and_text_answer_as_generate(small_folder, task, monkeypatch):
    # It asks for torchvision, which it needs for videos alone.
    monkeypatch.setattr(any_to_any, "requires_backends", lambda *_: None)
    answering = pipeline(task, small_folder)
    prompt = "<|user|>\n<|image_1|>\nWhat?<|end|>\n<|assistant|>\n"
    image = Image.new("RGB", (400, 300), "red")
    (found,) = answering(images=[image], text=prompt, max_new_tokens=4, do_sample=False)
    inputs = answering.processor(prompt, [image])
    ids = answering.model.generate(**inputs, max_new_tokens=4, do_sample=False)
    new_ids = ids[0, inputs["input_ids"].shape[1] :]
    expected = answering.processor.tokenizer.decode(new_ids, skip_special_tokens=True)
    assert found["generated_text"].endswith(expected)


def test_the_pipeline_for_features_gives_the_last_hidden_states(small_folder):
    features = pipeline("feature-extraction", small_folder)("What is it?", return_tensors=True)
    model = AutoModel.from_pretrained(small_folder)
    ids = build_processor().tokenizer("What is it?", return_tensors="pt")["input_ids"]
    assert torch.allclose(features, model(ids).last_hidden_state, atol=1e-5)


def test_the_published_keyword_for_the_attention_is_accepted(tiny_checkpoint):
    model = AutoModelForCausalLM.from_pretrained(
        tiny_checkpoint("phi35"), _attn_implementation="eager"
    )
    assert model.config._attn_implementation == "eager"


def test_a_saved_processor_loads_again_with_its_settings(published, tmp_path):
    processor = AutoProcessor.from_pretrained(published)
    processor.image_processor.auto_num_crops = [1, 1]
    processor.save_pretrained(tmp_path)
    shutil.copy(published / "config.json", tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert again.image_processor.auto_num_crops == [1, 1]
    prompt = "<|user|>\nWhat?<|end|>\n<|assistant|>\n"
    assert again(prompt)["input_ids"].tolist() == processor(prompt)["input_ids"].tolist()


@pytest.mark.parametrize("name", ["Phi3VConfig", "Phi3VImageProcessor"])
def test_a_class_can_be_what_imports_transformers(name):
    code = (
        f"from phi3v import {name}; from transformers import AutoProcessor as auto; auto.register"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_phi3v_does_not_import_gradio():
    code = "import sys, phi3v; sys.exit('gradio' in sys.modules or 'spaces' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
