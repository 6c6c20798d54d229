"""Pictures seen before, asked about again with only a part of their image tokens.

Most cells of a picture are blank, and those of a shape show all the same: a few of them are enough
to answer from, at a fraction of the cost. So what to do with what the tokens show (place, count,
order, compare) is learnt from many times more questions than the tower could be run for.

T image tokens of a picture, D text width.
"""

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from training.batches import Batch, Turns
from training.layouts import PRINTED
from training.network import arrange_cells
from training.prompts import IMAGE_SLOT
from training.tokenizer import IGNORED
from training.tower import CELLS

KEPT = 1500  # rows to choose from, the latest
LENGTH = 192  # tokens of an excerpt; those that are longer are not used
MARK, BLANK, SHAPE, PRINT = range(4)  # kinds of image tokens; a mark ends a row or a part
SHARES = {MARK: 1.0, BLANK: 0.06, SHAPE: 0.7, PRINT: 1.0}  # of the tokens that are kept
FINE_SHARE = 0.3  # of the shares of shapes and blanks where a picture is seen in several crops
TRIES = 20  # rows for each excerpt
ONE_PART = 0.6  # how often only one of two like parts is kept


@dataclass(frozen=True)
class Row:
    """A question and its answer, and the tokens of its pictures."""

    token_ids: Tensor  # (L,) int64, IMAGE_SLOT where an image token stands
    labels: Tensor  # (L,) int64
    weights: Tensor  # (L,) float32
    pointers: Tensor  # (K, 2) int64: a position, and a slot that shows its label
    tokens: Tensor  # (slots, D)
    kinds: Tensor  # (slots,) uint8
    parts: Tensor  # (slots,) int64: twice the picture's number, plus one in its global crop
    is_single: bool  # the sub-crop and the global one are the same


def tell_kinds(batch: Batch) -> Tensor:
    """What kind of token each image token is: (pictures, T) uint8."""
    names = batch.frames.names.cpu().amax(2).bool()  # (N, C, W)
    kinds = torch.full(names.shape[:2], BLANK, dtype=torch.uint8)
    kinds[names[..., len(PRINTED) :].any(-1)] = SHAPE
    kinds[names[..., : len(PRINTED)].any(-1)] = PRINT
    layout, mark = batch.layout, torch.tensor([MARK], dtype=torch.uint8)
    cells = kinds.view(len(kinds), layout.height, CELLS, 1)
    return arrange_cells(cells, mark, mark, layout.columns, layout.sub_frames)[..., 0]


def choose_tokens(rng: random.Random, row: Row) -> Tensor:
    """Which image tokens of a row are kept: (slots,) bool."""
    shares = torch.tensor([SHARES[kind] for kind in range(len(SHARES))])[row.kinds.long()]
    if not row.is_single:
        fine = (row.parts % 2 == 0) & ((row.kinds == SHAPE) | (row.kinds == BLANK))
        shares = torch.where(fine, shares * FINE_SHARE, shares)
    elif rng.random() < ONE_PART:
        dropped = rng.randrange(2)
        shares = torch.where((row.parts % 2 == dropped) & (row.kinds != MARK), 0.0, shares)
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    return torch.rand(len(shares), generator=generator) < shares


class Replay:
    """The latest pictures of whole frames, and excerpts of them."""

    def __init__(self, size: int):
        self.size = size
        self.rows: list[Row] = []
        self.written = 0

    def add(self, batch: Batch, tokens: Tensor) -> None:
        """Keep a batch's rows; strips are cheap without this.

        Args:
            batch: questions about pictures.
            tokens: (pictures, T, D)
        """
        layout = batch.layout
        if layout.height < CELLS:
            return
        turns = batch.turns
        count = len(turns.token_ids)
        each = len(tokens) // count  # pictures of a row
        parts = torch.arange(each)[:, None] * 2 + (
            torch.arange(layout.image_tokens) >= layout.image_tokens - CELLS * (CELLS + 1)
        )
        kinds = tell_kinds(batch)
        token_ids, labels, weights = turns.token_ids.cpu(), turns.labels.cpu(), turns.weights.cpu()
        pointers = turns.pointers.cpu()
        kept = tokens.detach().to("cpu", torch.bfloat16)
        for index in range(count):
            answered = (labels[index] != IGNORED).nonzero()
            end = int(answered[-1]) + 1
            pictures = slice(index * each, index * each + each)
            row = Row(
                token_ids[index, :end],
                labels[index, :end],
                weights[index, :end],
                pointers[pointers[:, 0] == index, 1:],
                kept[pictures].flatten(0, 1),
                kinds[pictures].flatten(),
                parts.flatten(),
                layout.sub_frames == layout.frames,
            )
            if len(self.rows) < KEPT:
                self.rows.append(row)
            else:
                self.rows[self.written % KEPT] = row
            self.written += 1

    def draw(self, rng: random.Random) -> tuple[Turns, Tensor] | None:
        """Excerpts and their image tokens (slots, D); None if too few are short enough."""
        if len(self.rows) < self.size:
            return None
        token_ids = torch.zeros((self.size, LENGTH), dtype=torch.int64)
        labels = torch.full((self.size, LENGTH), IGNORED)
        weights = torch.ones(self.size, LENGTH)
        pointers = []
        tokens, filled = [], 0
        for row in rng.choices(self.rows, k=TRIES * self.size):
            if filled == self.size:
                break
            kept = choose_tokens(rng, row)
            positions = torch.ones(len(row.token_ids), dtype=torch.bool)
            positions[row.token_ids == IMAGE_SLOT] = kept
            length = int(positions.sum())
            if length > LENGTH:
                continue
            token_ids[filled, :length] = row.token_ids[positions]
            labels[filled, :length] = row.labels[positions]
            weights[filled, :length] = row.weights[positions]
            shown = positions[row.pointers].all(1)
            moved = (positions.cumsum(0) - 1)[row.pointers[shown]]
            pointers.append(torch.nn.functional.pad(moved, (1, 0), value=filled))
            tokens.append(row.tokens[kept])
            filled += 1
        if filled < self.size:
            return None  # nearly all rows are too long
        return Turns(token_ids, labels, weights, torch.cat(pointers), 0), torch.cat(tokens)
