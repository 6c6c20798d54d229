"""Cuts pictures into frames, and finds the frames' cells that their marks are in.

A layout is a grid of sub-crops and the global crop, or a strip of it: the same few rows of cells
of every frame, which hold all marks of a picture at a fraction of the cost.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch

from phi3v.model.crops import crop_grid
from phi3v.model.image_processing import resize_and_pad
from training.canvas import FRAME, Picture, locate
from training.tokenizer import CHARACTERS, COLOURS, SHAPES, SPACE, build_vocabulary
from training.tower import CELLS, GRID, PATCH

CELL = 2 * PATCH
PRINTED = (*CHARACTERS, SPACE)
NAMES = (*PRINTED, *(SPACE + word for word in (*COLOURS, *SHAPES)))
NAME_INDEX = {name.removeprefix(SPACE) or " ": index for index, name in enumerate(NAMES)}
NAME_IDS = tuple(build_vocabulary()[name] for name in NAMES)
STRIP = 5  # rows of cells in a strip
SLOT_ROWS, SLOT_COLUMNS = 2, 4  # of a cell; 7 x 14 pixels each, narrower than most letters
SLOTS = SLOT_ROWS * SLOT_COLUMNS
Row = tuple[np.ndarray, np.ndarray, np.ndarray]  # pixels, places, names: as in batches.Frames


@dataclass(frozen=True)
class Layout:
    """The grid of sub-crops of a picture, and the rows of cells that are cut from each frame."""

    num_crops: int = 1
    rows: int = 1
    columns: int = 1
    height: int = CELLS

    @property
    def sub_frames(self) -> int:
        """Frames of a picture besides the global one; a strip lies within one row of sub-crops."""
        return (1 if self.height < CELLS else self.rows) * self.columns

    @property
    def frames(self) -> int:
        """Frames of a picture; a single sub-crop also serves as the global crop."""
        return self.sub_frames + (self.rows * self.columns > 1)

    @property
    def image_tokens(self) -> int:
        """Image tokens of a picture: rows with newlines, separator, rows of the global crop."""
        sub = self.sub_frames // self.columns * self.height * (self.columns * CELLS + 1)
        return sub + 1 + self.height * (CELLS + 1)

    def fits(self, pictures: tuple[Picture, ...]) -> bool:
        """True if all of these pictures are cut into this grid."""
        grid = (self.rows, self.columns)
        return all(crop_grid(*p.image.size, self.num_crops) == grid for p in pictures)


SINGLE = Layout()
SINGLE_STRIP = Layout(height=STRIP)
FOUR = Layout(num_crops=4, rows=2, columns=2)
FOUR_STRIP = Layout(num_crops=4, rows=2, columns=2, height=STRIP)
WIDE = Layout(num_crops=4, rows=1, columns=2)
TALL = Layout(num_crops=4, rows=2, columns=1)
PANORAMA = Layout(num_crops=4, rows=1, columns=3)
SIX_WIDE = Layout(num_crops=6, rows=2, columns=3)
SIX_TALL = Layout(num_crops=6, rows=3, columns=2)
NINE = Layout(num_crops=9, rows=3, columns=3)
NINE_STRIP = Layout(num_crops=9, rows=3, columns=3, height=STRIP)


@dataclass(frozen=True)
class View:
    """A picture as the processor scales and pads it, with its marks in those pixels."""

    pixels: np.ndarray  # (H, W, 3) uint8
    marks: np.ndarray  # rows of x, y, index of the name

    def squeeze(self) -> "View":
        """Return the global crop: the whole picture scaled to one frame."""
        height, width, _ = self.pixels.shape
        if height == width == FRAME:
            return self
        planes = torch.from_numpy(self.pixels.astype(np.float32)).permute(2, 0, 1)[None]
        small = torch.nn.functional.interpolate(planes, (FRAME, FRAME), mode="bicubic")
        pixels = small[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        return View(pixels, self.marks * (FRAME / width, FRAME / height, 1))

    def cut(self, left: int, top: int, rows: int, columns: int) -> Row:
        """Return a window of `rows` x `columns` cells whose first one is at (left, top), in cells.

        A window lies within one crop: its patches have positions in that crop's own grid.
        """
        across = left % CELLS * 2 + np.arange(2 * columns)
        down = top % CELLS * 2 + np.arange(2 * rows)
        x, y = left * CELL, top * CELL
        return (
            self.pixels[y : y + rows * CELL, x : x + columns * CELL],
            (down[:, None] * GRID + across).ravel(),
            name_cells(self.marks, x, y, rows, columns),
        )


def locate_marks(picture: Picture, num_crops: int = 1) -> np.ndarray:
    """Return a picture's marks as in `View`, rows of x, y and name index."""
    scale, left, top = locate(*picture.image.size, num_crops)
    rows = [
        (mark.x * scale + left, mark.y * scale + top, NAME_INDEX[mark.token])
        for mark in picture.marks
        if mark.token in NAME_INDEX
    ]
    return np.array(rows, np.float64).reshape(-1, 3)


def view_picture(picture: Picture, num_crops: int = 1) -> View:
    """Scale and pad a picture as the processor does at this num_crops."""
    padded = resize_and_pad(picture.image, num_crops)
    return View(np.asarray(padded), locate_marks(picture, num_crops))


def name_cells(marks: np.ndarray, left: int, top: int, rows: int, columns: int) -> np.ndarray:
    """Return names by cell and slot, (C, S, W) uint8, of a window at pixel (left, top)."""
    names = np.zeros((rows * columns, SLOTS, len(NAMES)), np.uint8)
    size = CELL / SLOT_COLUMNS, CELL / SLOT_ROWS
    places = np.floor((marks[:, :2] - (left, top)) / size).astype(int)
    inside = ((places >= 0) & (places < (SLOT_COLUMNS * columns, SLOT_ROWS * rows))).all(1)
    column, row = places[inside].T
    slot = row % SLOT_ROWS * SLOT_COLUMNS + column % SLOT_COLUMNS
    cell = row // SLOT_ROWS * columns + column // SLOT_COLUMNS
    names[cell, slot, marks[inside, 2].astype(int)] = 1
    return names


def cut_windows(rng: random.Random, picture: Picture, cells: int, count: int) -> list[Row]:
    """Cut `count` square windows at random cells from the picture scaled to one frame."""
    view = view_picture(picture)
    corners = [[rng.randint(0, CELLS - cells) for _ in range(2)] for _ in range(count)]
    return [view.cut(left, top, cells, cells) for left, top in corners]


def cut_frames(view: View, layout: Layout, top: int = 0) -> list[Row]:
    """Cut a picture into sub-crops, row by row, then the global one; strips begin at row `top`."""
    height, columns = layout.height, range(layout.columns)
    if height < CELLS:
        rows = [view.cut(column * CELLS, top, height, CELLS) for column in columns]
    else:
        starts = [(column * CELLS, row * CELLS) for row in range(layout.rows) for column in columns]
        rows = [view.cut(*start, CELLS, CELLS) for start in starts]
    if layout.frames > layout.sub_frames:
        # The global crop shows the strip smaller by a factor, so one row above it fits as well.
        start = min(max(0, top // layout.rows - 1), CELLS - height)
        rows.append(view.squeeze().cut(0, start, height, CELLS))
    return rows


def choose_strip(rng: random.Random, pictures: tuple[Picture, ...], layout: Layout) -> int | None:
    """Choose a first row of cells so that the strip holds all marks; None if no strip does."""
    marks = [locate_marks(picture, layout.num_crops) for picture in pictures]
    marked = np.concatenate(marks)[:, 1] // CELL
    if len(marked) == 0:
        return None
    first, last = int(marked.min()), int(marked.max())
    tops = [
        top
        for top in range(max(0, last - STRIP + 1), first + 1)
        if top % CELLS <= CELLS - STRIP and top < layout.rows * CELLS
    ]
    # Marks are centres and ink extends beyond them: leave a row on both sides if possible.
    roomy = [top for top in tops if top < first and last < top + STRIP - 1]
    return rng.choice(roomy or tops) if tops else None
