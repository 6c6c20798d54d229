"""Tokens become text one at a time, without losing spaces or splitting characters."""

import pytest
from conftest import PUBLISHED_NAMES, build_processor, published_folder
from transformers import PreTrainedTokenizerFast

from phi3v.spelling import Speller

TEXTS = ["Hello world", "a\n  b\n\n    c", "שלום עולם", "emoji 👩‍👩‍👧 and 漢字", "x" * 50, ""]


@pytest.fixture(scope="module", params=["embedded", *PUBLISHED_NAMES])
def tokenizer(request):
    if request.param == "embedded":
        return build_processor().tokenizer
    return PreTrainedTokenizerFast.from_pretrained(published_folder(request.param))


@pytest.mark.parametrize("text", TEXTS)
def test_the_pieces_are_the_text(tokenizer, text) -> None:
    ids = tokenizer(text, add_special_tokens=False).input_ids
    expected = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    speller = Speller(tokenizer)
    pieces = [speller.add(token) for token in ids]
    assert "".join(pieces) == expected
    assert speller.pieces == pieces


@pytest.mark.parametrize("text", TEXTS)
def test_going_on_at_any_token_gives_the_same_text(tokenizer, text) -> None:
    ids = tokenizer(text, add_special_tokens=False).input_ids
    whole = "".join(map(Speller(tokenizer).add, ids))
    for cut in range(len(ids) + 1):
        first = "".join(map(Speller(tokenizer).add, ids[:cut]))
        rest = "".join(map(Speller(tokenizer, ids[:cut]).add, ids[cut:]))
        assert first + rest == whole


def test_special_tokens_are_not_spelled(tokenizer) -> None:
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    assert Speller(tokenizer).add(end) == ""
