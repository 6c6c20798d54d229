"""Datasets of drawn pictures as tensors; each batch is a pure function of (seed, number).

B batch, N frames of all pictures in the batch, C cells of a frame or window, S slots in a
cell, W the tokens that can name what a cell shows.
"""

import random
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast

from training.canvas import Dice, Sample
from training.drills import Drills, Sentences, choose_mark, find_last
from training.layouts import (
    FOUR,
    FOUR_STRIP,
    NINE,
    NINE_STRIP,
    PANORAMA,
    SINGLE,
    SINGLE_STRIP,
    SIX_TALL,
    SIX_WIDE,
    TALL,
    WIDE,
    Layout,
    Row,
    choose_strip,
    cut_frames,
    cut_windows,
    view_picture,
)
from training.odd_one import ODD
from training.prompts import PromptEncoder, point
from training.settings import Stage
from training.tasks import DOCUMENTS, PAIRS, TRIPLES, choose_group, draw_sample
from training.text import draw_page
from training.tokenizer import IGNORED, SPACE
from training.tower import CELLS

CUT_SHARES = {  # batch sizes by layout, as shares of the stage's
    **{FOUR: 0.4, FOUR_STRIP: 0.4, WIDE: 0.6, TALL: 0.6, PANORAMA: 0.5},
    **{SIX_WIDE: 0.35, SIX_TALL: 0.35, NINE: 0.25, NINE_STRIP: 0.3},
}
CUT_WEIGHTS = {  # how often a picture that is cut into crops has each layout
    **{FOUR: 0.62, WIDE: 0.07, TALL: 0.05, PANORAMA: 0.03},
    **{SIX_WIDE: 0.04, SIX_TALL: 0.04, NINE: 0.15},
}
NINE_STRIPS = 0.35  # share of nine crops among the strips of pictures that are cut into crops
# Never cut to strips: positions matter, there are no marks, or they are all over the picture.
WHOLE_TASKS = ("objects", "beyond", "conversation", *TRIPLES, *DOCUMENTS)
VERDICT_WEIGHT = 3.0  # of the token that says whether two pictures are identical
FOUND_WEIGHT = 3.0  # of the first character of a line of text: the others are next to it
# (pictures, layout): tokens per row of the batch, and the first position that may have a label.
# Lengths are fixed per kind of batch, as a compiled layer is compiled once for each length.
LENGTHS = {
    (1, SINGLE): (544, 320),
    (2, SINGLE): (784, 640),
    (1, SINGLE_STRIP): (272, 128),
    (2, SINGLE_STRIP): (416, 256),
    (1, FOUR): (1024, 760),
    (1, FOUR_STRIP): (352, 192),
    (2, FOUR): (1680, 1480),
    (2, FOUR_STRIP): (544, 384),
    (1, WIDE): (704, 456),
    (1, TALL): (704, 456),
    (1, PANORAMA): (848, 600),
    (1, SIX_WIDE): (1312, 1048),
    (1, SIX_TALL): (1312, 1048),
    (1, NINE): (1760, 1492),
    (1, NINE_STRIP): (416, 252),
    (3, SINGLE): (1264, 952),
}
DOCUMENT_LENGTH = (2304, 1492)  # of a whole page in nine crops


@dataclass(frozen=True)
class Frames:
    """Frames, or windows of them, and the names of what their cells show."""

    pixels: Tensor  # (N, height, width, 3) uint8
    places: Tensor  # (N, P) int64, each patch's index in the 24x24 grid
    names: Tensor  # (N, C, S, W) uint8, 1 where the token names what a slot shows


@dataclass(frozen=True)
class Turns:
    """Questions and answers as token ids, with labels and the image tokens that show them."""

    token_ids: Tensor  # (B, T) int64, IMAGE_SLOT in place of image tokens
    labels: Tensor  # (B, T) int64, already shifted: the token to predict at each position
    weights: Tensor  # (B, T) float32, weight of each label's losses
    pointers: Tensor  # (K, 3) int64: row, position, image slot that shows its label
    start: int  # the first position that may have a label

    def follow(self) -> "Turns":
        """Return a copy whose pointers show each position's own token instead of the next one."""
        pointers = self.pointers + self.pointers.new_tensor((0, 1, 0))
        return replace(self, pointers=pointers[pointers[:, 1] < self.token_ids.shape[1]])


@dataclass(frozen=True)
class Batch:
    """Questions and answers about frames, with the auxiliary batches of the same step."""

    turns: Turns
    frames: Frames
    layout: Layout = SINGLE  # of every picture
    pages: Frames | None = None  # windows of dense pages, to keep the vision tower accurate
    drills: Sentences | None = None  # text-only questions and answers


def name_verdict(sample: Sample) -> str | None:
    """Return the token that says whether pictures are identical, or which is the odd one."""
    if sample.task == "compare":
        return choose_mark(sample.answer)
    odd = ODD.search(sample.answer) if sample.task == "odd one" else None
    return SPACE + odd[1] if odd else None


def stack_frames(rows: list[Row]) -> Frames:
    """Stack rows of (pixels, places, names) into tensors."""
    pixels, places, names = zip(*rows, strict=True)
    return Frames(
        torch.from_numpy(np.stack(pixels)),
        torch.from_numpy(np.stack(places)),
        torch.from_numpy(np.stack(names)),
    )


class Pages(Dataset):
    """Batches of windows of dense pages, which train the vision tower alone."""

    def __init__(
        self,
        seed: int,
        batches: int,
        size: int,
        cells: int,
        tasks: dict[str, float],
        breadth: float = 1.0,
    ):
        self.seed, self.batches, self.size = seed, batches, size
        self.cells, self.tasks, self.breadth = cells, tasks, breadth
        self.windows = 1 if cells == CELLS else 4

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, number: int) -> Frames:
        rng = Dice(f"{self.seed}:pages:{number}", self.breadth)
        rows: list[Row] = []
        while len(rows) < self.size:
            roll = rng.random() - self.tasks.get("plain", 0.0)
            if roll < self.tasks.get("page", 0.0):
                picture = draw_page(rng, plain=roll < 0)
            else:
                picture = draw_sample(rng, self.tasks).pictures[0]
            rows += cut_windows(rng, picture, self.cells, self.windows)
        return stack_frames(rows[: self.size])


class Questions(Dataset):
    """Batches of questions about equally many pictures each, all in one layout."""

    def __init__(
        self,
        seed: int,
        stage: Stage,
        tokenizer: PreTrainedTokenizerFast,
        pages: Pages | None = None,
        drills: Drills | None = None,
    ):
        self.seed, self.stage, self.pages, self.drills = seed, stage, pages, drills
        self.encoder = PromptEncoder(tokenizer)
        self.pad = tokenizer.convert_tokens_to_ids("<|endoftext|>")

    def __len__(self) -> int:
        return self.stage.steps

    def __getitem__(self, number: int) -> Batch:
        stage = self.stage
        rng = Dice(f"{self.seed}:questions:{number}", stage.breadth)
        is_strip = rng.random() < stage.strips
        size = stage.strip_batch if is_strip else stage.batch
        tasks = {n: s for n, s in stage.tasks.items() if not (is_strip and n in WHOLE_TASKS)}
        tasks = choose_group(rng, tasks)
        is_pair = not tasks.keys().isdisjoint(PAIRS)
        pictures = 2 if is_pair else 3 if not tasks.keys().isdisjoint(TRIPLES) else 1
        if not tasks.keys().isdisjoint(DOCUMENTS):
            layout = NINE
        elif rng.random() >= stage.crops or pictures == 3:
            layout = SINGLE_STRIP if is_strip else SINGLE
        elif is_strip:
            layout = NINE_STRIP if not is_pair and rng.random() < NINE_STRIPS else FOUR_STRIP
        elif is_pair:
            layout = FOUR
        else:
            layout = rng.choices(list(CUT_WEIGHTS), list(CUT_WEIGHTS.values()))[0]
        size = max(1, round(size * CUT_SHARES.get(layout, 1.0) / pictures))
        rng.grid = (layout.rows, layout.columns)
        samples, tops = self.draw(rng, tasks, layout, size)
        batch = self.collate(samples, layout, tops)
        return replace(
            batch,
            pages=self.pages[number] if self.pages else None,
            drills=self.drills[number] if self.drills else None,
        )

    def draw(
        self, rng: random.Random, tasks: dict[str, float], layout: Layout, size: int
    ) -> tuple[list[Sample], list[int]]:
        """Draw samples whose pictures have the layout; return the first rows of strips, too."""
        samples, tops = [], []
        while len(samples) < size:
            sample = draw_sample(rng, tasks)
            if not layout.fits(sample.pictures):
                continue
            top = choose_strip(rng, sample.pictures, layout) if layout.height < CELLS else 0
            if top is not None:
                samples.append(sample)
                tops.append(top)
        return samples, tops

    def collate(self, samples: list[Sample], layout: Layout, tops: list[int]) -> Batch:
        """Collate samples with equally many pictures into one batch, padded on the right.

        The few answers that are too long are truncated.
        """
        encoded = [self.encoder.encode(sample, layout.image_tokens) for sample in samples]
        length, start = LENGTHS[len(samples[0].pictures), layout]
        if samples[0].task == "document":
            length, start = DOCUMENT_LENGTH
        token_ids = torch.full((len(samples), length), self.pad)
        labels = torch.full((len(samples), length), IGNORED)
        weights = torch.ones(len(samples), length)
        pointers: list[tuple[int, int, int]] = []
        for row, one in enumerate(encoded):
            ids, wanted = one.ids, one.labels
            assert wanted[:start] == [IGNORED] * start
            count = min(length, len(ids))
            token_ids[row, :count] = torch.tensor(ids[:count])
            labels[row, :count] = torch.tensor(wanted[:count])
            for position, target in one.targets:
                if target.is_first and position < count:
                    weights[row, position] = FOUND_WEIGHT
            verdict = name_verdict(samples[row])
            if verdict and count == len(ids):
                mark = self.encoder.tokenizer.convert_tokens_to_ids(verdict)
                weights[row, find_last(wanted, mark)] = VERDICT_WEIGHT
            pointers += [
                (row, position, slot)
                for position, slot in point(one, samples[row], layout, tops[row])
                if position < count
            ]
        frames = [
            frame
            for sample, top in zip(samples, tops, strict=True)
            for picture in sample.pictures
            for frame in cut_frames(view_picture(picture, layout.num_crops), layout, top)
        ]
        turns = Turns(
            token_ids, labels, weights, torch.tensor(pointers, dtype=torch.int64).view(-1, 3), start
        )
        return Batch(turns, stack_frames(frames), layout)
