"""The streamer gives the same text for tokens read one by one or several at once."""

import queue
import random

import pytest
import torch
from support.models import build_processor

from phi3v.inference.streaming import AnswerStreamer


@pytest.fixture(scope="module")
def tokenizer():
    return build_processor().tokenizer


@pytest.mark.parametrize("seed", range(20))
def test_the_text_does_not_depend_on_how_often_it_is_read(tokenizer, seed):
    rng = random.Random(seed)
    words = ["red ", "\n", "a circle", " and", "é", "漢", "  ", ".", "\n - "]
    ids = tokenizer("".join(rng.choice(words) for _ in range(40))).input_ids
    # Decoded at once: transformers' TextStreamer would lose a space at the start of a line.
    expected = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    streamer = AnswerStreamer(tokenizer)
    streamer.put(torch.tensor([[1, 2, 3]]))  # the prompt
    text = ""
    for token in ids:
        streamer.put(torch.tensor([token]))
        if rng.random() < 0.2:
            text += streamer.read(timeout=1)
    streamer.end()
    while not streamer.is_ended:
        text += streamer.read(timeout=1)
    assert text == expected


def test_reading_without_a_token_raises_empty(tokenizer):
    streamer = AnswerStreamer(tokenizer)
    streamer.put(torch.tensor([[1, 2, 3]]))
    assert streamer.is_empty()
    with pytest.raises(queue.Empty):
        streamer.read(timeout=0.01)
