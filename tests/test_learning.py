"""What training learns from besides whole pictures: sentences, excerpts, places."""

import random
import re
from dataclasses import replace

import pytest
import torch
from test_training import ANSWERS, SIZES, needs_fonts
from test_training import tokenizer as tokenizer  # a fixture

from training.batches import Frames, Questions
from training.drills import Drills
from training.layouts import NAME_IDS, SINGLE, SLOTS
from training.losses import Trainee
from training.network import Network
from training.objects import NUMBERS
from training.prompts import IMAGE_SLOT
from training.replay import MARK, PRINT, SHAPE, Replay, choose_tokens, tell_kinds
from training.tokenizer import IGNORED
from training.tower import CELLS, GRID, Sizes, normalize


def test_sentences_without_pictures_label_what_follows_from_their_words(tokenizer):
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


@needs_fonts
@pytest.mark.parametrize("task", ["objects", "ocr", "compare"])
def test_excerpts_keep_the_turns_and_all_print(tokenizer, task):
    stage = replace(ANSWERS, tasks={task: 1.0}, batch=16, breadth=0.0)
    batch = Questions(1, stage, tokenizer)[0]
    pictures = int((batch.turns.token_ids == IMAGE_SLOT).sum()) // SINGLE.image_tokens
    numbers = torch.arange(pictures * SINGLE.image_tokens).view(pictures, -1, 1)
    replay = Replay(4)
    replay.add(batch, numbers)
    turns, shown = replay.draw(random.Random(0))
    assert len(shown) == (turns.token_ids == IMAGE_SLOT).sum() < 0.5 * 4 * SINGLE.image_tokens
    answers = {tuple(row[row != IGNORED].tolist()) for row in batch.turns.labels}
    assert {tuple(row[row != IGNORED].tolist()) for row in turns.labels} <= answers
    kinds = tell_kinds(batch)
    assert (kinds == MARK).sum(1).tolist() == [25] * pictures
    assert ((kinds == PRINT).any(), (kinds == SHAPE).any()) == (task != "objects", task != "ocr")
    row = replay.rows[0]
    kept = choose_tokens(random.Random(0), row)
    assert kept[row.kinds == MARK].all()
    for part in row.parts.unique() // 2:
        halves = [kept[(row.kinds == PRINT) & (row.parts == 2 * part + half)] for half in (0, 1)]
        assert all(half.all() or not half.any() for half in halves)
        assert halves[0].all() or halves[1].all()


def test_the_loss_of_places_is_small_where_places_and_colours_are_told():
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
