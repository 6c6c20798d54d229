"""Prompts with images, as the processor makes them of texts, tags and conversations."""

import pytest
import torch
from support.golden import golden_image
from support.models import build_processor
from transformers import AutoProcessor

from phi3v import Phi3VImageProcessor, Phi3VProcessor

ONE, TWO = golden_image(90, 60), golden_image(50, 120)
QUESTION = "What is this?"


@pytest.fixture(scope="module")
def processor() -> Phi3VProcessor:
    processor = build_processor()
    processor.image_processor.num_crops = 1
    return processor


def picture(image) -> dict:
    return {"type": "image", "image": image}


def text(words: str) -> dict:
    return {"type": "text", "text": words}


CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [picture(ONE), text(QUESTION)]},
    {"role": "assistant", "content": [text("A pattern.")]},
    {"role": "user", "content": [picture(TWO), picture(ONE), text("And these?")]},
]
WRITTEN = (
    "<|system|>\nBe brief.<|end|>\n<|user|>\n<|image_1|>\nWhat is this?<|end|>\n"
    "<|assistant|>\nA pattern.<|end|>\n<|user|>\n<|image_2|>\n<|image_3|>\nAnd these?<|end|>\n"
)


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_chat_numbers_its_images_over_all_turns(processor):
    assert processor.apply_chat_template(CHAT) == WRITTEN
    started = processor.apply_chat_template(CHAT, add_generation_prompt=True)
    assert started == WRITTEN + "<|assistant|>\n"


def test_a_tokenized_chat_is_the_hand_written_prompt(processor):
    options = {"tokenize": True, "return_dict": True}
    assert equal(
        processor.apply_chat_template(CHAT, **options), processor(WRITTEN, [ONE, TWO, ONE])
    )


def test_chats_in_a_batch_are_the_chats_alone(processor):
    chats = [CHAT, [{"role": "user", "content": "Hi"}], CHAT[:2]]
    options = {"tokenize": True, "return_dict": True}
    batch = processor.apply_chat_template(chats, **options)
    texts = processor.apply_chat_template(chats)
    assert equal(batch, processor(texts, [[ONE, TWO, ONE], [], [ONE]]))


def test_the_openai_form_of_an_image_is_taken(processor, tmp_path):
    ONE.save(tmp_path / "one.png")
    part = {"type": "image_url", "image_url": {"url": str(tmp_path / "one.png")}}
    chat = [{"role": "user", "content": [part, text(QUESTION)]}]
    output = processor.apply_chat_template(chat, tokenize=True, return_dict=True)
    assert equal(output, processor(f"<|user|>\n<|image_1|>\n{QUESTION}<|end|>\n", ONE))


def test_another_kind_of_content_is_refused(processor):
    chat = [{"role": "user", "content": [{"type": "video", "url": "film.mp4"}]}]
    with pytest.raises(Exception, match="takes text and images, not video"):
        processor.apply_chat_template(chat)


def test_the_published_checkpoints_chats_take_lists_and_strings(published):
    processor = AutoProcessor.from_pretrained(published)
    assert processor.apply_chat_template(CHAT) == WRITTEN
    strings = [{"role": "user", "content": "<|image_1|>\nHi"}, {"role": "assistant", "content": ""}]
    for started in (False, True):
        options = {"add_generation_prompt": started, "tokenize": False}
        expected = processor.tokenizer.apply_chat_template(strings, **options)
        assert processor.apply_chat_template(strings, **options) == expected


def test_a_batch_of_the_published_checkpoints_is_padded_where_no_answer_begins(published, tmp_path):
    processor = AutoProcessor.from_pretrained(published)
    assert processor(["Hi", "Hi there"])["attention_mask"][0, 0] == 0
    processor.tokenizer.padding_side = "right"
    processor.save_pretrained(tmp_path)
    again = Phi3VProcessor.from_pretrained(tmp_path)
    assert again.tokenizer.padding_side == "right"


def test_a_saved_processor_has_its_chat_template_and_settings(processor, tmp_path):
    own = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    settings = {"num_crops": 2, "do_normalize": False}
    images = Phi3VImageProcessor(**settings)
    saved = Phi3VProcessor(images, processor.tokenizer, chat_template=own)
    saved.save_pretrained(tmp_path)
    again = Phi3VProcessor.from_pretrained(tmp_path)
    assert again.chat_template == own
    assert equal(again("<|image_1|>", ONE), saved("<|image_1|>", ONE))
    assert again.to_dict() == saved.to_dict()


def test_assistant_masks_cover_the_answers_alone(processor):
    long = [*CHAT, {"role": "assistant", "content": "Two more."}]
    for side in ("left", "right"):
        output = processor.apply_chat_template(
            [long, CHAT[:3]],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            return_assistant_tokens_mask=True,
            processor_kwargs={"padding_side": side},
        )
        masks = output["assistant_masks"].bool()
        spoken = [ids[mask] for ids, mask in zip(output["input_ids"], masks, strict=True)]
        assert processor.batch_decode(spoken) == [
            "A pattern.<|end|> Two more.<|end|>",
            "A pattern.<|end|>",
        ]


def test_the_image_token_takes_the_images_in_order(processor):
    assert equal(
        processor("<|image|>\nand <|image|>", [ONE, TWO]),
        processor("<|image_1|>\nand <|image_2|>", [ONE, TWO]),
    )


def test_numbered_tags_beside_the_image_token_are_refused(processor):
    with pytest.raises(ValueError, match="number all of them"):
        processor("<|image|> <|image_2|>", [ONE, TWO])


@pytest.mark.parametrize("literal", ["<|image|>", "<|image_1|>"])
@pytest.mark.parametrize("images", [None, [], [[]]])
def test_a_tag_without_an_image_is_refused(processor, literal, images):
    with pytest.raises(ValueError, match="1 image tags and 0 images were given"):
        processor(f"What does {literal} mean?", images)


def test_one_image_may_be_shown_twice(processor):
    twice = processor("<|image_1|> <|image_1|>", ONE)
    assert equal(twice, processor("<|image_1|> <|image_2|>", [ONE, ONE]))


@pytest.mark.parametrize(
    "images",
    [[ONE, TWO], [[ONE, TWO]], [[ONE], [TWO]], (ONE, TWO), ([ONE, TWO],)],
)
def test_one_prompt_takes_its_images_in_any_nesting(processor, images):
    expected = processor("<|image|> <|image|>", [ONE, TWO])
    assert equal(processor("<|image|> <|image|>", images), expected)
    assert equal(processor(["<|image|> <|image|>"], images), expected)


def test_images_alone_are_the_image_processor_s(processor):
    assert equal(processor(images=[ONE, TWO]), processor.image_processor([ONE, TWO]))


@pytest.mark.parametrize("call", [{}, {"text": []}, {"text": [1]}, {"text": ONE, "images": "Hi"}])
def test_a_call_without_text_that_can_be_read_is_refused(processor, call):
    with pytest.raises(ValueError, match=r"Give text, images or both|must be a string"):
        processor(**call)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_keeps_ids_and_pixels_on_both_sides(processor, side):
    texts, images = ["Hi", "<|image_1|>\nWhat?", "<|image_1|><|image_2|>"], [[], [ONE], [TWO, ONE]]
    batch = processor(texts, images, padding_side=side)
    alone = [processor(*pair) for pair in zip(texts, images, strict=True)]
    for row, mask, single in zip(batch["input_ids"], batch["attention_mask"], alone, strict=True):
        assert torch.equal(row[mask.bool()], single["input_ids"][0])
    pixels = [single["pixel_values"] for single in alone if "pixel_values" in single]
    assert torch.equal(batch["pixel_values"], torch.cat(pixels))


def test_truncation_cuts_text_and_never_an_image(processor):
    prompt, full = "<|image_1|>\nA long question?", processor("<|image_1|>\nA long question?", ONE)
    length = full["input_ids"].shape[1]
    short = processor(prompt, ONE, truncation=True, max_length=length - 3)
    assert torch.equal(short["input_ids"], full["input_ids"][:, :-3])
    with pytest.raises(ValueError, match="max_length 200 would cut into an image"):
        processor(prompt, ONE, truncation=True, max_length=200)


@pytest.mark.parametrize("side", ["left", "right"])
def test_text_is_truncated_as_the_tokenizer_does_it(processor, side, monkeypatch):
    monkeypatch.setattr(processor.tokenizer, "truncation_side", side)
    options = {"truncation": True, "max_length": 5, "return_tensors": "pt"}
    expected = processor.tokenizer("What is the answer to this?", **options)
    output = processor("What is the answer to this?", **options)
    assert torch.equal(output["input_ids"], expected["input_ids"])


def test_offsets_count_in_the_text_with_the_slots_written_out(processor):
    prompt = "Look: <|image_1|>\nWhat is it?"
    options = {"return_offsets_mapping": True, "return_text_replacement_offsets": True}
    output = processor([prompt, "Hi"], [[ONE], []], **options)
    (replaced,), none = output["text_replacement_offsets"]
    assert none == []
    assert replaced["span"] == (6, 17)
    assert replaced["replacement"] == "<|image|>" * 313
    written = prompt.replace("<|image_1|>", replaced["replacement"])
    offsets = output["offset_mapping"][0].tolist()
    for token, (start, end) in zip(output["input_ids"][0].tolist(), offsets, strict=True):
        is_slot = token == processor.image_token_id
        assert (written[start:end] == "<|image|>") == is_slot
    after = next(number for number, (start, _) in enumerate(offsets) if written[start:] == "?")
    assert offsets[after][1] == len(written)


def test_without_a_kind_of_tensor_rows_are_lists_of_their_own_length(processor):
    output = processor(["Hi", "Hi there"], return_tensors=None, padding=False)
    rows = output["input_ids"]
    assert [type(row) for row in rows] == [list, list]
    assert len(rows[0]) < len(rows[1])


def test_the_tokens_of_sizes_are_the_tokens_of_images(processor):
    sizes = [(60, 90), (120, 50), (700, 300)]
    images = [golden_image(width, height) for height, width in sizes]
    for options in ({}, {"num_crops": 4}, {"num_crops": 6, "do_resize": False}):
        counted = processor._get_num_multimodal_tokens(sizes, **options)
        output = processor(["<|image|>"] * 3, images, return_mm_token_type_ids=True, **options)
        assert output["mm_token_type_ids"].sum(1).tolist() == counted["num_image_tokens"]
        assert counted["num_image_patches"] == [1, 1, 1]


def test_the_names_of_inputs_are_those_of_a_call(processor):
    assert list(processor("<|image|>", ONE)) == processor.model_input_names
