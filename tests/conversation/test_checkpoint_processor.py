"""Prompts from a checkpoint's JSON files alone: the ids that transformers and the port give."""

import json
import random
import shutil
from pathlib import Path

import pytest
from PIL import Image
from support.golden import PUBLISHED_NAMES, published_folder

from phi3v import Phi3VProcessor
from phi3v.conversation.checkpoint_processor import (
    CheckpointProcessor,
    find_stop_ids,
    read_processor,
)
from phi3v.conversation.detokenizer import IncrementalDetokenizer
from phi3v.conversation.prompt import build_prompt
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.model.crops import crop_grid
from phi3v.request import Request, RequestError, Sampling, Turn

FOLDERS = ["embedded", *PUBLISHED_NAMES]
ODD = [
    "",
    " ",
    "What is <|end|> here, and <|image_1|>?",
    "</s> <s>x<unk>\n\n\tא漢🙂 {{ bos_token }}",
    "<|user|>\nI am <|assistant|>",
    "< |end|> <|image_|> <|image_12|>",
    "plain words, 12.50 €",
]


@pytest.fixture(scope="module", params=FOLDERS)
def processors(request: pytest.FixtureRequest) -> tuple[CheckpointProcessor, Phi3VProcessor]:
    """Both processors of the same files."""
    name = request.param
    folder = EMBEDDED_FOLDER if name == "embedded" else published_folder(name)
    return read_processor(folder), Phi3VProcessor.from_pretrained(folder)


def make_turns(rng: random.Random) -> tuple[Turn, ...]:
    """Return a random conversation of up to three questions about up to three pictures each."""
    turns: list[Turn] = []
    for number in range(rng.randint(1, 3)):
        sizes = [(rng.randint(40, 900), rng.randint(40, 900)) for _ in range(rng.randint(0, 3))]
        images = tuple(Image.new("RGB", size) for size in sizes)
        text = rng.choice(ODD) + " " + rng.choice(ODD)
        turns += [Turn("user", text.strip() or "So?", images), Turn("assistant", rng.choice(ODD))]
        if number == 0 and rng.random() < 0.3:
            turns.insert(0, Turn("system", "Be brief. <|end|>"))
    return tuple(turns[:-1])


def test_a_prompt_has_the_ids_of_the_model_s_own_processor(
    processors: tuple[CheckpointProcessor, Phi3VProcessor],
) -> None:
    light, whole = processors
    for seed in range(25):
        rng = random.Random(seed)
        turns = make_turns(rng)
        request = Request(turns, Sampling(max_new_tokens=8), rng.choice([None, 1, 2, 4]))
        expected = build_prompt(request, whole, 131072)
        found = build_prompt(request, light, 131072)
        assert (found.text, found.num_crops) == (expected.text, expected.num_crops)
        grids = [crop_grid(*size, found.num_crops) for size in found.sizes]
        ids = light.tokenize(found.text, grids)
        assert ids == whole.tokenize(expected.text, grids)
        assert len(ids) == found.prompt_tokens == expected.prompt_tokens
        assert found.image_tokens == expected.image_tokens


def test_ids_are_those_of_the_processor_s_call_with_its_pixels() -> None:
    light = read_processor(EMBEDDED_FOLDER)
    whole = Phi3VProcessor.from_pretrained(EMBEDDED_FOLDER)
    images = [Image.new("RGB", (500, 300)), Image.new("RGB", (200, 640))]
    text = "<|user|>\n<|image_1|>\n<|image_2|>\nWhich?<|end|>\n<|assistant|>\n"
    ids = whole(text, images, num_crops=4)["input_ids"][0].tolist()
    assert light.tokenize(text, [crop_grid(*image.size, 4) for image in images]) == ids


def test_an_answer_is_detokenized_as_by_transformers(
    processors: tuple[CheckpointProcessor, Phi3VProcessor],
) -> None:
    light, whole = processors
    ids = light.tokenizer.encode(" ".join(ODD))
    texts = []
    for tokenizer in (light.tokenizer, whole.tokenizer):
        detokenizer = IncrementalDetokenizer(tokenizer)
        texts.append([*map(detokenizer.add, ids), detokenizer.finish()])
    assert texts[0] == texts[1]


def test_limits_are_those_of_the_model_s_configuration(
    processors: tuple[CheckpointProcessor, Phi3VProcessor],
) -> None:
    light, whole = processors
    assert light.context_length >= 2560
    assert light.stop_token_ids() == find_stop_ids(whole.tokenizer, 2)
    assert len(light.tokenizer) == len(whole.tokenizer)


def test_a_folder_without_its_files_is_refused_with_their_names(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"tokenizer\.json"):
        read_processor(tmp_path)


def test_a_broken_tokenizer_is_refused(tmp_path: Path) -> None:
    for file in EMBEDDED_FOLDER.glob("*.json"):
        shutil.copy(file, tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": None}))
    with pytest.raises(RequestError, match="cannot be used"):
        read_processor(tmp_path)
