"""Tokens are detokenized one at a time, without lost spaces or split characters."""

import pytest
from support.golden import PUBLISHED_NAMES, published_folder
from support.models import build_processor
from transformers import PreTrainedTokenizerFast

from phi3v.conversation.detokenizer import IncrementalDetokenizer

TEXTS = ["Hello world", "a\n  b\n\n    c", "שלום עולם", "emoji 👩‍👩‍👧 and 漢字", "x" * 50, ""]


@pytest.fixture(scope="module", params=["embedded", *PUBLISHED_NAMES])
def tokenizer(request):
    if request.param == "embedded":
        return build_processor().tokenizer
    return PreTrainedTokenizerFast.from_pretrained(published_folder(request.param))


@pytest.mark.parametrize("text", TEXTS)
def test_the_token_texts_add_up_to_the_text(tokenizer, text) -> None:
    ids = tokenizer(text, add_special_tokens=False).input_ids
    expected = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    detokenizer = IncrementalDetokenizer(tokenizer)
    texts = [detokenizer.add(token) for token in ids]
    assert "".join(texts) == expected
    assert detokenizer.token_texts == texts


@pytest.mark.parametrize("text", TEXTS)
def test_continuing_at_any_token_gives_the_same_text(tokenizer, text) -> None:
    ids = tokenizer(text, add_special_tokens=False).input_ids
    whole = "".join(map(IncrementalDetokenizer(tokenizer).add, ids))
    for cut in range(len(ids) + 1):
        first = "".join(map(IncrementalDetokenizer(tokenizer).add, ids[:cut]))
        rest = "".join(map(IncrementalDetokenizer(tokenizer, ids[:cut]).add, ids[cut:]))
        assert first + rest == whole


def test_special_tokens_have_no_text(tokenizer) -> None:
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    assert IncrementalDetokenizer(tokenizer).add(end) == ""
