"""Tokens are detokenized one at a time, without lost spaces or split characters."""

import random
from functools import partial

import pytest
from support.golden import PUBLISHED_NAMES, published_folder
from support.models import build_processor
from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerFast

from phi3v.conversation.detokenizer import BYTE_TOKENS, INCOMPLETE, IncrementalDetokenizer

TEXTS = ["Hello world", "a\n  b\n\n    c", "שלום עולם", "emoji 👩‍👩‍👧 and 漢字", "x" * 50, ""]


@pytest.fixture(scope="module", params=["embedded", *PUBLISHED_NAMES])
def tokenizer(request):
    if request.param == "embedded":
        return build_processor().tokenizer
    return PreTrainedTokenizerFast.from_pretrained(published_folder(request.param))


def detokenize(tokenizer, ids, prefix=()) -> str:
    """Text of ids added one by one, which is also the text of its tokens."""
    detokenizer = IncrementalDetokenizer(tokenizer, prefix)
    text = "".join(map(detokenizer.add, ids)) + detokenizer.finish()
    assert "".join(detokenizer.token_texts) == text
    assert len(detokenizer.token_texts) == len(ids)
    return text


def decode(tokenizer, ids) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def draw_ids(tokenizer, rng: random.Random) -> list[int]:
    """Random ids, half of them single bytes, which are hardly ever valid UTF-8."""
    byte_ids = tokenizer.convert_tokens_to_ids(BYTE_TOKENS)
    return [
        rng.choice(byte_ids) if rng.random() < 0.5 else rng.randrange(len(tokenizer))
        for _ in range(rng.randint(1, 30))
    ]


def test_any_ids_give_what_decode_gives_but_an_incomplete_end(tokenizer) -> None:
    rng = random.Random(0)
    for _ in range(300):
        ids = draw_ids(tokenizer, rng)
        text, expected = detokenize(tokenizer, ids), decode(tokenizer, ids)
        assert expected.startswith(text)
        assert set(expected[len(text) :]) <= {INCOMPLETE}


def test_any_ids_can_be_continued(tokenizer) -> None:
    rng = random.Random(1)
    for _ in range(100):
        ids = draw_ids(tokenizer, rng)
        cut = rng.randint(0, len(ids))
        detokenize(tokenizer, ids[cut:], prefix=ids[:cut])


def test_the_library_cannot_take_any_ids(tokenizer) -> None:
    """Why the detokenizer is our own: drop it for DecodeStream once this test fails."""
    rng, stream = random.Random(0), DecodeStream(skip_special_tokens=True)
    ids = [token for _ in range(100) for token in draw_ids(tokenizer, rng)]
    with pytest.raises(Exception, match="Invalid prefix"):
        list(map(partial(stream.step, tokenizer.backend_tokenizer), ids))


@pytest.mark.parametrize("text", TEXTS)
def test_the_token_texts_add_up_to_the_text(tokenizer, text) -> None:
    ids = tokenizer(text, add_special_tokens=False).input_ids
    expected = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    detokenizer = IncrementalDetokenizer(tokenizer)
    texts = [detokenizer.add(token) for token in ids]
    assert "".join(texts) + detokenizer.finish() == expected
    assert "".join(detokenizer.token_texts) == expected


@pytest.mark.parametrize("text", TEXTS)
def test_continuing_at_any_token_gives_the_same_text(tokenizer, text) -> None:
    ids = tokenizer(text, add_special_tokens=False).input_ids
    whole = detokenize(tokenizer, ids)
    for cut in range(len(ids) + 1):
        rest = detokenize(tokenizer, ids[cut:], prefix=ids[:cut])
        assert detokenize(tokenizer, ids[:cut]) + rest == whole


def test_special_tokens_have_no_text(tokenizer) -> None:
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    assert IncrementalDetokenizer(tokenizer).add(end) == ""
