import pytest
import torch
from support.golden import golden_image, golden_json, published_folder
from transformers import AutoProcessor

import phi3v  # noqa: F401

TOKENS = golden_json("tokens.json")
WHICH = {"phi3": "phi-3-vision-128k-instruct", "phi35": "phi-3.5-vision-instruct"}
CASES = [(which, name) for which, cases in TOKENS["cases"].items() for name in cases]


@pytest.fixture(scope="module")
def processors():
    return {which: AutoProcessor.from_pretrained(published_folder(WHICH[which])) for which in WHICH}


def expand(run_lengths: list, image_token_id: int) -> list[int]:
    """Golden ids: [-n, count] stands for count slots of image n."""
    ids = []
    for entry in run_lengths:
        ids += [image_token_id] * entry[1] if isinstance(entry, list) else [entry]
    return ids


def images_of(case: dict) -> list:
    return [golden_image(**TOKENS["images"][name]) for name in case["images"]]


@pytest.mark.parametrize(("which", "name"), CASES)
def test_token_ids_are_the_reference_s(processors, which, name):
    if name == "tag_without_image":
        pytest.skip("the reference takes such a tag as text; here it is refused, tested below")
    processor, case = processors[which], TOKENS["cases"][which][name]
    output = processor(case["prompt"], images_of(case) or None, num_crops=case["num_crops"])
    assert output["input_ids"][0].tolist() == expand(case["input_ids_rle"], 32044)
    assert output["attention_mask"].all()


@pytest.mark.parametrize(("which", "name"), CASES)
def test_the_chat_template_is_the_reference_s(processors, which, name):
    case = TOKENS["cases"][which][name]
    if case["messages"]:
        prompt = processors[which].tokenizer.apply_chat_template(
            case["messages"], tokenize=False, add_generation_prompt=True
        )
        assert prompt == case["prompt"]


def test_swapped_tags_put_the_images_in_the_order_of_the_slots(processors):
    images = [golden_image(640, 480), golden_image(333, 517)]
    processor = processors["phi35"]
    swapped = processor("<|image_2|> and <|image_1|>", images)
    straight = processor("<|image_1|> and <|image_2|>", images[::-1])
    assert torch.equal(swapped["pixel_values"], straight["pixel_values"])
    assert torch.equal(swapped["input_ids"], straight["input_ids"])


def test_a_batch_of_mixed_images_is_left_padded(processors):
    processor = processors["phi35"]
    one, two = golden_image(640, 480), golden_image(100, 900)
    texts = ["Hello", "<|image_1|>\n<|image_2|>\nCompare.", "<|image_1|>\nWhat?"]
    batch = processor(texts, [[], [one, two], [two]], return_tensors="pt")
    flat = processor(texts, [one, two, two], return_tensors="pt")
    rows = [processor(texts[0]), processor(texts[1], [one, two]), processor(texts[2], two)]
    for index, row in enumerate(rows):
        length = row["input_ids"].shape[1]
        assert torch.equal(batch["input_ids"][index, -length:], row["input_ids"][0])
        assert batch["attention_mask"][index].sum() == length
        assert batch["attention_mask"][index, -length:].all()
    assert len(batch["pixel_values"]) == 3
    assert torch.equal(batch["pixel_values"], flat["pixel_values"])


@pytest.mark.parametrize(
    ("prompt", "count", "message"),
    [
        ("<|image_1|> <|image_2|>", 1, "2 image tags and 1 images"),
        ("<|image_2|>", 1, r"numbered \[2\]"),
        ("<|image_1|> <|image_3|>", 2, r"numbered \[1, 3\]"),
        ("<|image_0|> <|image_1|>", 2, r"numbered \[0, 1\]"),
        ("no tag", 1, "0 image tags and 1 images"),
        ("<|image_1|>", 0, "1 image tags and 0 images"),
    ],
)
def test_tags_that_do_not_fit_the_images_are_refused(processors, prompt, count, message):
    images = [golden_image(30, 20)] * count
    with pytest.raises(ValueError, match=message):
        processors["phi3"](prompt, images)


def test_a_batch_whose_images_do_not_fit_its_prompts_is_refused(processors):
    image = golden_image(30, 20)
    with pytest.raises(ValueError, match=r"\[1, 1\] image tags and \[2, 0\] images"):
        processors["phi3"](["<|image_1|>", "<|image_1|>"], [[image, image], []])


def test_num_crops_is_chosen_per_call(processors):
    output = processors["phi3"]("<|image_1|>", golden_image(640, 480), num_crops=1)
    assert output["pixel_values"].shape == (1, 2, 3, 336, 336)


def test_decoding_is_the_reference_s(processors):
    for which, processor in processors.items():
        expected = TOKENS["errors"][which]["decode"]
        ids = processor("<|user|>\n Hello<|end|>\n<|assistant|>\n")["input_ids"]
        options = {"clean_up_tokenization_spaces": False}
        skipped = processor.batch_decode(ids, skip_special_tokens=True, **options)[0]
        unskipped = processor.batch_decode(ids, skip_special_tokens=False, **options)[0]
        assert (skipped, unskipped) == (expected["skip_special"], expected["keep"])
