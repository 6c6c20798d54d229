"""Auxiliary training data and losses: text-only sentences, positions of cells."""

import re

import torch
from support.small_training import SIZES

from training.batches import Frames
from training.drills import Drills
from training.layouts import NAME_IDS, SLOTS
from training.losses import Trainee
from training.network import Network
from training.objects import NUMBERS
from training.tokenizer import IGNORED
from training.tower import CELLS, GRID, Sizes, normalize


def test_text_only_sentences_label_what_follows_from_their_words(tokenizer):
    batch = Drills(1, 1, 160, tokenizer)[0]
    labels = [tokenizer.decode(row[row != IGNORED]) for row in batch.labels]
    texts = [tokenizer.decode(row).replace("<|endoftext|>", "") for row in batch.token_ids]
    pairs = [(text, label) for text, label in zip(texts, labels, strict=True) if "second" in text]
    assert {label for _, label in pairs} == {".", ":"}
    assert all(("identical" in text) == (label == ":") for text, label in pairs)
    kinds = set()
    for sentence, label in zip(texts, labels, strict=True):
        question, answer = sentence.removesuffix(label).split("<|end|>", 1)
        if counted := re.fullmatch(r": (\w+) \w+\.", label):
            kinds.add("counted")
            number = NUMBERS.index(counted[1])
            assert number == len(re.findall(r"\ban? ", answer, re.IGNORECASE))
            assert number == len(re.findall(r" (?:at|in) the ", answer))
        elif len(label) > 1:
            kinds.add("named")
            assert label.strip() in question, sentence
    assert kinds == {"counted", "named"}


def test_the_position_loss_is_small_for_right_positions_and_colours():
    trainee = Trainee(Network(Sizes(vocab_size=max(NAME_IDS) + 1, **SIZES)))
    places = torch.arange(GRID * GRID).view(GRID, GRID)[4:8, 6:12]  # two rows of three cells
    pixels = torch.full((1, 56, 84, 3), 255, dtype=torch.uint8)
    pixels[:, :28, :28] = 0
    frames = Frames(pixels, places.flatten()[None], torch.zeros(1, 6, SLOTS, len(NAME_IDS)))
    cells = torch.eye(SIZES["text_width"])[None, :6]
    weight = torch.zeros_like(trainee.places.weight)
    for cell in range(6):
        weight[2 + cell // 3, cell] = weight[CELLS + 3 + cell % 3, cell] = 9.0
        weight[2 * CELLS :, cell] = normalize(pixels[0, 0, 0] if cell == 0 else pixels[0, -1, -1])
    trainee.places.weight.data, trainee.places.bias.data[:] = weight, 0.0
    loss, right = trainee.place_cells(cells, frames)
    assert right == 1
    assert loss < 0.02
    weight[2 * CELLS :] = 0
    assert trainee.place_cells(cells, frames)[0] > 1
