"""Draws bar and line charts: title, labels, bars or a line, and printed values or an axis."""

import math
import random
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from training import text
from training.canvas import (
    Mark,
    Paper,
    Picture,
    choose_paper,
    count_crops,
    load_font,
    mark_word,
)
from training.colours import COLOURS, Rgb, distance, sample_colour
from training.series import Series
from training.shapes import MARK_STEP

COLOURED = 0.6  # the share of bar charts in which each bar has a colour of its own


@dataclass
class Plot:
    """A chart being drawn; coordinates are in canvas pixels."""

    paper: Paper
    pen: ImageDraw.ImageDraw
    left: float  # of the axes
    right: float
    top: float  # of the scale
    base: float  # of all bars
    most: float  # the value at the scale's top
    marks: list[Mark] = field(default_factory=list)

    def find_height(self, value: float) -> float:
        """Return the y coordinate of a value."""
        return self.base - (self.base - self.top) * value / self.most


def write_centred(plot: Plot, words: str, centre: float, top: float, face: text.Face) -> None:
    """Draw a line of text centred on an x coordinate, but within the canvas."""
    width = text.measure_word(face.font, face.size, words)
    x = round(max(1, min(centre - width / 2, plot.paper.width - width - 1)))
    font = load_font(face.font, face.size)
    plot.pen.text((x, round(top)), words, font=font, fill=plot.paper.ink)
    plot.marks.extend(mark_word(face.font, face.size, words, x, round(top)))


def draw_axis(rng: random.Random, plot: Plot, face: text.Face, step: int) -> None:
    """Draw a numbered axis, with or without grid lines; moves the plot's left edge."""
    line = text.measure_line(face.font, face.size)
    ticks = range(0, round(plot.most) + 1, step)
    width = max(text.measure_word(face.font, face.size, str(tick)) for tick in ticks)
    plot.left += width + face.size * rng.uniform(0.2, 0.7)
    is_grid = rng.random() < 0.4
    ink, background = plot.paper.ink, plot.paper.background
    grid = tuple((one + 3 * other) // 4 for one, other in zip(ink, background, strict=True))
    for tick in ticks:
        y = plot.find_height(tick)
        own = text.measure_word(face.font, face.size, str(tick))
        centre = plot.left - face.size * 0.2 - own / 2
        write_centred(plot, str(tick), centre, y - line / 2, face)
        if is_grid:
            plot.pen.line((plot.left, y, plot.right, y), fill=grid)
    plot.pen.line((plot.left, plot.top, plot.left, plot.base), fill=ink, width=2)


def draw_bar(plot: Plot, box: tuple[float, float, float, float], colour: str, rgb: Rgb) -> None:
    """Draw a filled rectangle (left, top, right, bottom), marked as a bar of its colour."""
    plot.pen.rectangle(box, fill=rgb)
    left, top, right, bottom = box
    step = MARK_STEP / plot.paper.scale
    for row in range(int((bottom - top) / step) + 1):
        for column in range(int((right - left) / step)):
            x, y = left + (column + 0.5) * step, min(top + (row + 0.5) * step, bottom)
            plot.marks += [Mark(x, y, token, f"{colour} bar") for token in (colour, "rectangle")]


def mark_ends(plot: Plot, series: Series, points: list[tuple[float, float]], reach: float) -> None:
    """Mark the upper ends of the highest and lowest bar or point, which answers refer to."""
    for name, index in (("highest", series.highest), ("lowest", series.lowest)):
        x, y = points[index]
        down = 7 / plot.paper.scale  # within the bar
        plot.marks += [Mark(x + side * reach, y + down, "end", name) for side in (-0.5, 0, 0.5)]


def plan_plot(
    rng: random.Random,
    paper: Paper,
    image: Image.Image,
    series: Series,
    small: text.Face,
    margins: list[float],
) -> Plot:
    """Place the axes and draw the title; margins are shares of the width."""
    line = text.measure_line(small.font, small.size)
    large = text.choose_face(rng, small.size, small.size * 1.6)
    if rng.random() < 0.7:
        large = text.Face(small.font, large.size, small.case)
    large = text.fit_size([series.title], large, paper)
    above = rng.uniform(0.01, 0.05) * paper.height
    high = text.measure_line(large.font, large.size)
    top = above + high * rng.uniform(1.0, 1.5) + line * (series.is_printed + rng.random())
    base = paper.height - line * rng.uniform(1.1, 1.6)
    subtitle = rng.choice(("Year", "Month", "Total", "Units")) if rng.random() < 0.12 else ""
    base -= line * bool(subtitle)
    most = max(series.values) * rng.choice((1.0, rng.uniform(1.0, 1.7)))
    if series.step:
        most = series.step * math.ceil(max(series.values) / series.step)
    left, right = (paper.width * margin for margin in margins)
    plot = Plot(paper, ImageDraw.Draw(image), left, paper.width - right, top, base, most)
    middle = paper.width / 2 if rng.random() < 0.75 else 0
    write_centred(plot, series.title, middle, above, large)
    if subtitle:
        write_centred(plot, subtitle, paper.width / 2, paper.height - line * 1.05, small)
    return plot


def draw_chart(
    rng: random.Random, series: Series, held_out: bool
) -> tuple[Picture, tuple[str, ...]]:
    """Draw bars or a line over their labels, with printed values or an axis.

    Returns:
        the chart, and the bars' colours if each has its own.
    """
    paper = choose_paper(rng)
    while paper.height > paper.width and count_crops(rng) == 1:
        paper = choose_paper(rng)
    image = paper.blank()
    small = text.choose_face(rng, 17 / paper.scale, 40 / paper.scale, held_out)
    texts = [*series.labels, *(f"{value}{series.unit}" for value in series.values)]
    widest = max(text.measure_word(small.font, small.size, word) for word in texts)
    margins = [rng.uniform(0.01, widest_margin) for widest_margin in (0.08, 0.22)]
    rng.shuffle(margins)
    room = 0.98 - sum(margins) - 0.1 * bool(series.step)
    fit = min(1, paper.width * room / len(series.labels) * 0.94 / widest)
    fit = min(fit, paper.height / 8.5 / text.measure_line(small.font, small.size))
    small = text.Face(small.font, max(8, int(small.size * fit)), small.case)
    line = text.measure_line(small.font, small.size)
    plot = plan_plot(rng, paper, image, series, small, margins)
    if series.step:
        draw_axis(rng, plot, small, series.step)
    elif rng.random() < 0.3:
        plot.pen.line((plot.left, plot.top, plot.left, plot.base), fill=paper.ink, width=2)
    slot = (plot.right - plot.left) / len(series.labels)
    plot.pen.line((plot.left, plot.base, plot.right, plot.base), fill=paper.ink, width=2)
    is_line, half = rng.random() < 0.2, slot * rng.uniform(0.2, 0.45)
    is_coloured = not is_line and rng.random() < COLOURED
    colours = choose_colours(rng, paper, len(series.values) if is_coloured else 1)
    over, under = rng.uniform(0, 0.25) * line, rng.uniform(0.05, 0.3) * line
    points = []
    for index, value in enumerate(series.values):
        centre = plot.left + slot * (index + 0.5)
        y = plot.find_height(value)
        points.append((centre, y))
        if not is_line:
            box = (centre - half, y, centre + half, plot.base)
            draw_bar(plot, box, *colours[index % len(colours)])
        if series.is_printed:
            write_centred(plot, f"{value}{series.unit}", centre, y - line - over, small)
        under = min(under, paper.height - line - plot.base)
        write_centred(plot, series.labels[index], centre, plot.base + under, small)
    if is_line:
        plot.pen.line(points, fill=colours[0][1], width=max(2, round(3 / paper.scale)))
    mark_ends(plot, series, points, 0 if is_line else half)
    return Picture(image, tuple(plot.marks)), tuple(name for name, _ in colours if is_coloured)


def choose_colours(rng: random.Random, paper: Paper, count: int) -> list[tuple[str, Rgb]]:
    """Choose names and shades of different colours that contrast with the paper."""
    chosen: dict[str, Rgb] = {}
    while len(chosen) < count:
        name = rng.choice(COLOURS)
        colour = sample_colour(rng, name)
        if distance(colour, paper.background) > 90:
            chosen.setdefault(name, colour)
    return list(chosen.items())
