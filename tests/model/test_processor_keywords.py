"""Every keyword that transformers documents for processors: obeyed, or refused, or warned of."""

import logging
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from support.golden import golden_image
from support.models import build_processor
from transformers.processing_utils import (
    AudioKwargs,
    ImagesKwargs,
    ProcessingKwargs,
    ProcessorChatTemplateKwargs,
    TextKwargs,
    VideosKwargs,
)
from transformers.utils import logging as transformers_logging

TEXTS = ["<|image_1|>\nWhat is this?", "Hello"]
IMAGE = golden_image(90, 60)
MESSAGES = [
    {"role": "user", "content": [{"type": "image", "image": IMAGE}, {"type": "text", "text": "?"}]},
    {"role": "assistant", "content": "A gradient."},
]

# Keyword: what a call gets, and what comes of it.
TEXT_CASES = {
    "text_pair": ({"text_pair": "more"}, "refused"),
    "text_target": ({"text_target": "more"}, "refused"),
    "text_pair_target": ({"text_pair_target": "more"}, "refused"),
    "add_special_tokens": ({"add_special_tokens": False}, "obeyed"),
    "padding": ({"padding": "max_length", "max_length": 400}, "obeyed"),
    "truncation": ({"truncation": True, "max_length": 322}, "obeyed"),
    "max_length": ({"max_length": 322}, "warned of"),
    "stride": ({"stride": 2}, "refused"),
    "is_split_into_words": ({"is_split_into_words": True}, "refused"),
    "pad_to_multiple_of": ({"pad_to_multiple_of": 64}, "obeyed"),
    "return_token_type_ids": ({"return_token_type_ids": True}, "obeyed"),
    "return_attention_mask": ({"return_attention_mask": False}, "obeyed"),
    "return_overflowing_tokens": ({"return_overflowing_tokens": True}, "refused"),
    "return_special_tokens_mask": ({"return_special_tokens_mask": True}, "obeyed"),
    "return_offsets_mapping": ({"return_offsets_mapping": True}, "obeyed"),
    "return_length": ({"return_length": True}, "obeyed"),
    "verbose": ({"verbose": False, "max_length": 322}, "silent"),
    "padding_side": ({"padding_side": "right"}, "obeyed"),
    "return_mm_token_type_ids": ({"return_mm_token_type_ids": True}, "obeyed"),
    "return_text_replacement_offsets": ({"return_text_replacement_offsets": True}, "obeyed"),
    "sanitize_control_tokens": ({"sanitize_control_tokens": True}, "refused"),
    "return_tensors": ({"return_tensors": None}, "obeyed"),
}
IMAGE_CASES = {
    "num_crops": ({"num_crops": 2}, "obeyed"),
    "do_convert_rgb": ({"do_convert_rgb": False}, "refused"),
    "do_resize": ({"do_resize": False}, "obeyed"),
    "size": ({"size": {"height": 336, "width": 336}}, "refused"),
    "default_to_square": ({"default_to_square": False}, "refused"),
    "crop_size": ({"crop_size": 224}, "refused"),
    "resample": ({"resample": Image.Resampling.NEAREST}, "obeyed"),
    "do_rescale": ({"do_rescale": False}, "obeyed"),
    "rescale_factor": ({"rescale_factor": 1 / 127.5}, "obeyed"),
    "do_normalize": ({"do_normalize": False}, "obeyed"),
    "image_mean": ({"image_mean": 0.5}, "obeyed"),
    "image_std": ({"image_std": [0.1, 0.2, 0.3]}, "obeyed"),
    "do_pad": ({"do_pad": False}, "refused"),
    "pad_size": ({"pad_size": {"height": 336, "width": 336}}, "refused"),
    "do_center_crop": ({"do_center_crop": True, "crop_size": 224}, "refused"),
    "data_format": ({"data_format": "channels_last"}, "refused"),
    "input_data_format": ({"input_data_format": "channels_first"}, "refused"),
    "device": ({"device": "meta"}, "obeyed"),
    "return_tensors": ({"return_tensors": "np"}, "obeyed"),
    "disable_grouping": ({"disable_grouping": False}, "refused"),
    "image_seq_length": ({"image_seq_length": 144}, "refused"),
}
CHAT_CASES = {
    "tools": ({"tools": [{"type": "function", "function": {"name": "add"}}]}, "refused"),
    "documents": ({"documents": [{"title": "a", "text": "b"}]}, "refused"),
    "add_generation_prompt": ({"add_generation_prompt": True}, "the same"),  # an answer is last
    "continue_final_message": ({"continue_final_message": True}, "obeyed"),
    "return_assistant_tokens_mask": ({"return_assistant_tokens_mask": True}, "obeyed"),
    "reasoning_effort": ({"reasoning_effort": "low"}, "warned of"),
    "tokenize": ({"tokenize": False}, "obeyed"),
    "return_dict": ({"return_dict": False}, "obeyed"),
    "load_audio_from_video": ({"load_audio_from_video": True}, "refused"),
}
OTHER_MEDIA = {**VideosKwargs.__annotations__, **AudioKwargs.__annotations__}
FOREIGN = sorted(set(OTHER_MEDIA) - set(TEXT_CASES) - set(IMAGE_CASES))


@pytest.fixture(scope="module")
def processor():
    processor = build_processor()
    processor.image_processor.num_crops = 1
    return processor


@pytest.fixture
def said(monkeypatch):
    """What transformers warns of, by its logger or by Python's warnings."""
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("transformers")
    transformers_logging.warning_once.cache_clear()
    logger.addHandler(handler)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield lambda: said + [str(warning.message) for warning in caught]
    logger.removeHandler(handler)


@cache
def describe_plain(function, processor) -> str:
    return describe(function(processor))


def call(processor, **kwargs):
    array = np.array(IMAGE.convert("L"))[..., None]  # grey, channels last
    return processor(TEXTS, [array], **kwargs)


def chat(processor, **kwargs):
    options = {"tokenize": True, "return_dict": True, **kwargs}
    return processor.apply_chat_template(MESSAGES, **options)


def describe(output) -> str:
    """What a call returned, so that any difference shows."""
    if not hasattr(output, "items"):
        return repr(output)
    return repr([(name, type(value), digest(value)) for name, value in output.items()])


def digest(value):
    if isinstance(value, torch.Tensor):
        return value.device if value.is_meta else value.numpy().tobytes()
    return value.tobytes() if isinstance(value, np.ndarray) else value


def check(function, processor, kwargs, outcome, said, name):
    if outcome == "refused":
        with pytest.raises((ValueError, TypeError)):
            function(processor, **kwargs)
        return
    changed = describe(function(processor, **kwargs)) != describe_plain(function, processor)
    assert changed == (outcome == "obeyed")
    if outcome == "warned of":
        assert any(name in text for text in said())
    if outcome == "silent":
        assert not said()


@pytest.mark.parametrize("name", TEXT_CASES)
@pytest.mark.parametrize("place", ["flat", "text_kwargs"])
def test_a_keyword_of_texts_is_not_passed_over(processor, said, name, place):
    kwargs, outcome = TEXT_CASES[name]
    kwargs = kwargs if place == "flat" else {"text_kwargs": kwargs}
    check(call, processor, kwargs, outcome, said, name)


@pytest.mark.parametrize("name", IMAGE_CASES)
@pytest.mark.parametrize("place", ["flat", "images_kwargs"])
def test_a_keyword_of_images_is_not_passed_over(processor, said, name, place):
    kwargs, outcome = IMAGE_CASES[name]
    if place == "images_kwargs":
        outcome = "refused" if name == "return_tensors" else outcome  # text would have another
        kwargs = {"images_kwargs": kwargs}
    check(call, processor, kwargs, outcome, said, name)


@pytest.mark.parametrize("name", CHAT_CASES)
def test_a_keyword_of_chats_is_not_passed_over(processor, said, name):
    kwargs, outcome = CHAT_CASES[name]
    check(chat, processor, kwargs, outcome, said, name)


def test_keywords_of_videos_and_audio_are_warned_of(processor, said):
    call(processor, **dict.fromkeys(FOREIGN, 1))
    for name in FOREIGN:
        assert any(f"`{name}` is not a valid argument" in text for text in said())


@pytest.mark.parametrize("kind", ["videos_kwargs", "audio_kwargs"])
def test_groups_of_keywords_of_videos_and_audio_are_refused(processor, kind):
    with pytest.raises(ValueError, match=f"{kind} was given"):
        call(processor, **{kind: {"return_tensors": "pt"}})


def test_all_documented_keywords_are_walked():
    assert set(TEXT_CASES) == set(TextKwargs.__annotations__)
    assert set(IMAGE_CASES) == {*ImagesKwargs.__annotations__, "num_crops"}
    assert set(CHAT_CASES) == set(ProcessorChatTemplateKwargs.__annotations__)
    of_processors = {name for name in ProcessingKwargs.__annotations__ if "_kwargs" not in name}
    assert of_processors <= set(TEXT_CASES)


@pytest.mark.parametrize("kwargs", [{"bogus": 1}, {"crops": 4}])
def test_an_unknown_keyword_is_warned_of(processor, said, kwargs):
    call(processor, **kwargs)
    assert any("is not a valid argument" in text for text in said())


@pytest.mark.parametrize("place", ["text_kwargs", "images_kwargs"])
def test_an_unknown_keyword_in_a_group_is_refused(processor, place):
    with pytest.raises(TypeError, match="bogus"):
        call(processor, **{place: {"bogus": 1}})


@pytest.mark.parametrize("name", ["videos", "audio"])
def test_videos_and_audio_are_refused(processor, name):
    with pytest.raises(ValueError, match=f"{name} was given; Phi-3-Vision takes text and images"):
        call(processor, **{name: [np.zeros((2, 3, 4, 4))]})


def test_common_keywords_reach_text_and_images(processor):
    output = call(processor, common_kwargs={"return_tensors": "np"})
    assert {type(value) for value in output.values()} == {np.ndarray}


def test_a_keyword_given_twice_is_refused(processor):
    with pytest.raises(ValueError, match="passed two times"):
        call(processor, num_crops=1, images_kwargs={"num_crops": 2})
