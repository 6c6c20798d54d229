"""Batches of drawn pictures as tensors; each is a pure function of (seed, number).

B batch, N pictures in the batch, C cells of a frame or window, S 2x2 patch slots in a cell, W the
tokens that can name a cell.
"""

import random
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast

from training.canvas import FRAME, Dice, Picture, Sample, frame_picture
from training.network import CELLS, GRID, IMAGE_TOKENS, PATCH
from training.tasks import draw_sample
from training.text import draw_page
from training.tokenizer import CHARACTERS, COLOURS, SHAPES, SPACE, build_vocabulary

CELL = 2 * PATCH
NAMES = (*CHARACTERS, *(SPACE + word for word in (*COLOURS, *SHAPES)))
NAME_INDEX = {name.removeprefix(SPACE): index for index, name in enumerate(NAMES)}
NAME_IDS = tuple(build_vocabulary()[name] for name in NAMES)
IGNORED = -100  # label of positions without a loss, as in torch's cross-entropy
STRIP = 5  # rows of cells in a strip: the part of a frame that holds some lines of print
# (pictures, rows of cells): tokens of a row of the batch, and no label stands before these.
LENGTHS = {(1, 12): (448, 320), (2, 12): (784, 640), (1, 5): (240, 128), (2, 5): (416, 256)}
IMAGE_SLOT = -1  # stands for one image token in a row of token ids


@dataclass(frozen=True)
class Frames:
    """Frames (or windows of them) and what stands in their cells."""

    pixels: Tensor  # (N, height, width, 3) uint8
    places: Tensor  # (N, P) int64, each patch's index in the 24x24 grid
    names: Tensor  # (N, C, S, W) uint8, 1 where the token names what stands there


@dataclass(frozen=True)
class Batch:
    """Questions and answers about frames."""

    frames: Frames
    token_ids: Tensor  # (B, T) int64, IMAGE_SLOT where an image token stands
    labels: Tensor  # (B, T) int64, already shifted: the token to be predicted at each position
    start: int  # no label stands before this position
    pages: Frames | None = None  # windows of dense pages, which keep the tower sharp


def locate_marks(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """The frame of a picture, and its marks as rows of (x, y, name) in frame pixels."""
    frame, scale, left, top = frame_picture(picture.image)
    rows = [
        (mark.x * scale + left, mark.y * scale + top, NAME_INDEX[mark.token])
        for mark in picture.marks
        if mark.token in NAME_INDEX
    ]
    return frame, np.array(rows, np.float64).reshape(-1, 3)


def name_cells(marks: np.ndarray, left: int, top: int, rows: int, columns: int) -> np.ndarray:
    """(C, S, W) uint8 of the window of `rows` x `columns` cells at (left, top) of the frame."""
    names = np.zeros((rows * columns, 4, len(NAMES)), np.uint8)
    patches = np.floor((marks[:, :2] - (left, top)) / PATCH).astype(int)
    inside = ((patches >= 0) & (patches < (2 * columns, 2 * rows))).all(1)
    column, row = patches[inside].T
    slot = row % 2 * 2 + column % 2
    names[row // 2 * columns + column // 2, slot, marks[inside, 2].astype(int)] = 1
    return names


def cut_window(
    frame: np.ndarray, marks: np.ndarray, left: int, top: int, rows: int, columns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The window of `rows` x `columns` cells at (left, top), as a row of `Frames`."""
    across = left // PATCH + np.arange(2 * columns)
    down = top // PATCH + np.arange(2 * rows)
    return (
        frame[top : top + rows * CELL, left : left + columns * CELL],
        (down[:, None] * GRID + across).ravel(),
        name_cells(marks, left, top, rows, columns),
    )


def cut_windows(rng: random.Random, picture: Picture, cells: int, count: int) -> list[tuple]:
    """`count` windows at random cells of the picture's frame, as rows of `Frames`."""
    frame, marks = locate_marks(picture)
    windows = []
    for _ in range(count):
        left, top = (CELL * rng.randint(0, CELLS - cells) for _ in range(2))
        windows.append(cut_window(frame, marks, left, top, cells, cells))
    return windows


def choose_strip(rng: random.Random, frames: list[tuple[np.ndarray, np.ndarray]]) -> int | None:
    """A row of cells from which a strip holds all marks of these frames; None if none does."""
    rows = np.concatenate([marks[:, 1] for _, marks in frames]) // CELL
    if len(rows) == 0 or rows.max() - rows.min() >= STRIP:
        return None
    first, last = max(0, int(rows.max()) - STRIP + 1), min(int(rows.min()), CELLS - STRIP)
    # Ink reaches beyond the centres that marks stand for: leave a row on both sides if possible.
    if last - first >= 2:
        first, last = first + 1, last - 1
    return rng.randint(first, max(first, last))


def stack_frames(rows: list[tuple]) -> Frames:
    """Rows of (pixels, places, names) as tensors."""
    pixels, places, names = zip(*rows, strict=True)
    return Frames(
        torch.from_numpy(np.stack(pixels)),
        torch.from_numpy(np.stack(places)),
        torch.from_numpy(np.stack(names)),
    )


class Pages(Dataset):
    """Batches of windows of dense pages, for the tower alone."""

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
        rows: list[tuple] = []
        while len(rows) < self.size:
            roll = rng.random() - self.tasks.get("plain", 0.0)
            if roll < self.tasks.get("page", 0.0):
                picture = draw_page(rng, plain=roll < 0)
            else:
                picture = draw_sample(rng, self.tasks).pictures[0]
            rows += cut_windows(rng, picture, self.cells, self.windows)
        return stack_frames(rows[: self.size])


class PromptEncoder:
    """Prompts and answers as token ids, chunk by chunk as the app's processor does it."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast):
        self.tokenizer = tokenizer
        self.end = tokenizer.convert_tokens_to_ids("<|end|>")

    def encode(
        self, sample: Sample, image_tokens: int = IMAGE_TOKENS
    ) -> tuple[list[int], list[int]]:
        """Ids of the prompt (IMAGE_SLOT per image token) and of the answer with its end."""
        count = len(sample.pictures)
        chunks = ["<|user|>\n", *["\n"] * (count - 1)]
        chunks.append(f"\n{sample.question}<|end|>\n<|assistant|>\n")
        prompt: list[int] = []
        for number, chunk in enumerate(chunks):
            prompt += self.tokenizer(chunk).input_ids
            if number < count:
                prompt += [IMAGE_SLOT] * image_tokens
        answer = self.tokenizer(sample.answer, add_special_tokens=False).input_ids
        return prompt, [*answer, self.end]


class Questions(Dataset):
    """Batches of questions about pictures; all of a batch show equally many pictures."""

    def __init__(
        self,
        seed: int,
        batches: int,
        size: int,
        tasks: dict[str, float],
        tokenizer: PreTrainedTokenizerFast,
        pages: Pages | None = None,
        strips: float = 0.0,
        strip_size: int = 32,
        breadth: float = 1.0,
    ):
        self.seed, self.batches, self.size, self.tasks = seed, batches, size, tasks
        self.pages, self.strips, self.strip_size = pages, strips, strip_size
        self.breadth = breadth
        self.encoder = PromptEncoder(tokenizer)
        self.pad = tokenizer.convert_tokens_to_ids("<|endoftext|>")

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, number: int) -> Batch:
        rng = Dice(f"{self.seed}:questions:{number}", self.breadth)
        first = draw_sample(rng, self.tasks)
        pictures = len(first.pictures)
        same = {
            task: weight
            for task, weight in self.tasks.items()
            if (task == "compare") == (pictures == 2)
        }
        if rng.random() < self.strips:
            batch = self.collate_strips(rng, same, self.strip_size // pictures)
        else:
            rest = [draw_sample(rng, same) for _ in range(max(1, self.size // pictures) - 1)]
            batch = self.collate([first, *rest])
        return replace(batch, pages=self.pages[number]) if self.pages else batch

    def collate_strips(self, rng: random.Random, tasks: dict[str, float], size: int) -> Batch:
        """A batch of samples whose marks fit into strips: a third of the tokens."""
        tasks = {task: weight for task, weight in tasks.items() if task != "cover"}
        samples, tops = [], []
        while len(samples) < size:
            sample = draw_sample(rng, tasks)
            top = choose_strip(rng, [locate_marks(picture) for picture in sample.pictures])
            if top is not None:
                samples.append(sample)
                tops.append(top)
        return self.collate(samples, STRIP, tops)

    def collate(
        self, samples: list[Sample], rows: int = CELLS, tops: list[int] | None = None
    ) -> Batch:
        """Samples with equally many pictures as one batch, padded on the right.

        With `rows` less than a frame's, each sample's pictures are cut to strips from row `tops`.
        """
        image_tokens = 2 * rows * (CELLS + 1) + 1
        encoded = [self.encoder.encode(sample, image_tokens) for sample in samples]
        # One length for each kind of batch: a compiled layer is compiled once for each. The few
        # answers that do not fit lose their end.
        length, start = LENGTHS[len(samples[0].pictures), rows]
        assert start < min(len(prompt) for prompt, _ in encoded)
        token_ids = torch.full((len(samples), length), self.pad)
        labels = torch.full((len(samples), length), IGNORED)
        for row, (prompt, answer) in enumerate(encoded):
            inputs = torch.tensor([*prompt, *answer[:-1]])[:length]
            token_ids[row, : len(inputs)] = inputs
            answered = len(inputs) - len(prompt) + 1
            labels[row, len(prompt) - 1 : len(inputs)] = torch.tensor(answer)[:answered]
        windows = [
            cut_window(*locate_marks(picture), 0, CELL * top, rows, CELLS)
            for sample, top in zip(samples, tops or [0] * len(samples), strict=True)
            for picture in sample.pictures
        ]
        return Batch(stack_frames(windows), token_ids, labels, start)


assert FRAME == CELLS * CELL
