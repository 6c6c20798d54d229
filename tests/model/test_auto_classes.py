import json
import shutil
import subprocess
import sys

import pytest
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
)

import phi3v


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
@pytest.mark.parametrize("auto_class", [AutoModelForCausalLM, AutoModelForImageTextToText])
def test_a_published_config_s_auto_map_is_ignored(tiny_checkpoint, auto_class, options):
    folder = tiny_checkpoint("phi35")
    assert "auto_map" in json.loads((folder / "config.json").read_text())
    model = auto_class.from_pretrained(folder, **options)
    assert type(model) is phi3v.Phi3VForCausalLM


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


def test_importing_phi3v_does_not_import_gradio():
    code = "import sys, phi3v; sys.exit('gradio' in sys.modules or 'spaces' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
