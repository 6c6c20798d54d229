"""Bar and line charts with a title and labelled values."""

import math
import random
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from training import text
from training.canvas import (
    Mark,
    Paper,
    Picture,
    Sample,
    choose_paper,
    count_crops,
    load_font,
    mark_word,
)
from training.colours import COLOURS, Rgb, distance, sample_colour
from training.shapes import MARK_STEP
from training.words import choose_word, join

DESCRIBING = (
    "Describe this chart.",
    "Describe the chart.",
    "What does this chart show?",
    "Explain this chart.",
    "Analyse this chart.",
    "Could you please introduce this stock to me?",
    "Describe this picture.",
    "Describe the image.",
    "What is shown in this image?",
)
HIGHEST = (
    "Which bar is the highest?",
    "Which value is the highest?",
    "What is the highest value?",
    "Which is the highest?",
    "Where is the maximum?",
)
LOWEST = (
    "Which bar is the lowest?",
    "Which value is the lowest?",
    "What is the lowest value?",
    "Which is the lowest?",
)
TABLES = (
    "Write the numbers of this chart as a table.",
    "Convert this chart to a table.",
    "Give the values of the chart as a table.",
)
STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200)  # from one number of an axis to the next
CLEAR = 0.06  # how far, as a share of the highest, the ends stand out where no value is printed
PRINTED = 0.55  # the share of charts with their values in them
NUMBERLESS = 0.68  # the share of the questions whose answer can do without numbers
SUBJECTS = ("Revenue", "Sales", "Profit", "Visitors", "Users", "Orders", "Price", "Income")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Series:
    """What a chart shows."""

    title: str
    labels: tuple[str, ...]
    values: tuple[int, ...]
    unit: str  # written after every value
    is_printed: bool  # the values stand in the chart; else they can only be compared
    step: int = 0  # from one number of the axis to the next; 0: there is no axis

    @property
    def highest(self) -> int:
        """Index of the highest value."""
        return self.values.index(max(self.values))

    @property
    def lowest(self) -> int:
        """Index of the lowest value."""
        return self.values.index(min(self.values))

    def tell_all(self) -> str:
        """ "2020: 28, 2021: 35", or "2020 and 2021"."""
        if not self.is_printed:
            return join(self.labels)
        pairs = zip(self.labels, self.values, strict=True)
        return ", ".join(f"{label}: {value}{self.unit}" for label, value in pairs)

    def tell(self, index: int) -> str:
        """ "35 for 2021": first what stands out, then what stands below it; or "2021" alone."""
        if not self.is_printed:
            return self.labels[index]
        return f"{self.values[index]}{self.unit} for {self.labels[index]}"

    def measure(self, index: int) -> str:
        """The value where it is printed; else "about" the nearest number of the axis."""
        value = self.values[index]
        if self.is_printed or not self.step:
            return f"{value}{self.unit}"
        return f"about {self.step * round(value / self.step)}"


@dataclass
class Plot:
    """A chart being drawn; places are in canvas pixels."""

    paper: Paper
    pen: ImageDraw.ImageDraw
    left: float  # of the axes
    right: float
    top: float  # of the scale
    base: float  # of all bars
    most: float  # the value at the scale's top
    marks: list[Mark] = field(default_factory=list)

    def find_height(self, value: float) -> float:
        """Where a value is on the canvas, from its top."""
        return self.base - (self.base - self.top) * value / self.most


def choose_labels(rng: random.Random, count: int, held_out: bool) -> tuple[str, ...]:
    """Years, months, quarters, letters or words."""
    kind = rng.randrange(5)
    if kind <= 1:
        first = rng.randint(1990, 2030)
        return tuple(str(first + i) for i in range(count))
    if kind == 2:
        first = rng.randrange(len(MONTHS))
        return tuple(MONTHS[(first + i) % len(MONTHS)] for i in range(count))
    if kind == 3 and count <= 4:
        return tuple(f"Q{i + 1}" for i in range(count))
    labels: list[str] = []
    while len(labels) < count:
        word = choose_word(rng, "title", held_out, hard=0.0, wide=False)[:6]
        if word not in labels:
            labels.append(word)
    return tuple(labels)


def choose_series(rng: random.Random, held_out: bool) -> Series:
    """Three to six values, no two alike."""
    count = rng.choice((3, 4, 4, 5, 5, 6))
    labels = choose_labels(rng, count, held_out)
    most = rng.choice((20, 50, 99, 99, 500))
    is_printed = rng.random() < PRINTED
    while True:
        values = tuple(rng.sample(range(max(2, most // 10), most + 1), count))
        low, next_low, *_ = sorted(values)
        *_, next_high, high = sorted(values)
        if is_printed or min(next_low - low, high - next_high) >= CLEAR * high:
            break
    subject = rng.choice(SUBJECTS)
    if rng.random() < 0.4:
        subject = choose_word(rng, "title", held_out, hard=0.0, wide=False)
    other = choose_word(rng, "title", held_out, hard=0.0, wide=False)
    titles = (subject, f"{subject} by year", f"{subject} {labels[0]}", f"{other} {subject.lower()}")
    title = rng.choice(titles)
    step = 0
    if not is_printed or rng.random() < 0.15:
        step = rng.choice([step for step in STEPS if 2 <= max(values) / step <= 6])
    return Series(title, labels, values, rng.choice(("", "", "", "%")), is_printed, step)


def write_centred(plot: Plot, words: str, centre: float, top: float, face: text.Face) -> None:
    """A line of text around a column of pixels, within the canvas."""
    width = text.measure_word(face.font, face.size, words)
    x = round(max(1, min(centre - width / 2, plot.paper.width - width - 1)))
    font = load_font(face.font, face.size)
    plot.pen.text((x, round(top)), words, font=font, fill=plot.paper.ink)
    plot.marks.extend(mark_word(face.font, face.size, words, x, round(top)))


def draw_axis(rng: random.Random, plot: Plot, face: text.Face, step: int) -> None:
    """Numbers at the left, with or without lines to the right of them; the axes move over."""
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
    """A filled rectangle (left, top, right, bottom), marked as a shape of its colour."""
    plot.pen.rectangle(box, fill=rgb)
    left, top, right, bottom = box
    step = MARK_STEP / plot.paper.scale
    for row in range(int((bottom - top) / step) + 1):
        for column in range(int((right - left) / step)):
            x, y = left + (column + 0.5) * step, min(top + (row + 0.5) * step, bottom)
            plot.marks += [Mark(x, y, token, "bar") for token in (colour, "rectangle")]


def mark_ends(plot: Plot, series: Series, points: list[tuple[float, float]], reach: float) -> None:
    """What an answer speaks of: the upper ends of the highest and of the lowest."""
    for name, index in (("highest", series.highest), ("lowest", series.lowest)):
        x, y = points[index]
        down = 7 / plot.paper.scale  # within the bar
        plot.marks += [Mark(x + side * reach, y + down, "end", name) for side in (-0.5, 0, 0.5)]


def plan_plot(
    rng: random.Random, paper: Paper, image: Image.Image, series: Series, small: text.Face
) -> Plot:
    """The axes' places, with the title over them or beside."""
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
    left, right = (rng.uniform(0.01, 0.08) * paper.width for _ in range(2))
    plot = Plot(paper, ImageDraw.Draw(image), left, paper.width - right, top, base, most)
    middle = paper.width / 2 if rng.random() < 0.75 else 0
    write_centred(plot, series.title, middle, above, large)
    if subtitle:
        write_centred(plot, subtitle, paper.width / 2, paper.height - line * 1.05, small)
    return plot


def draw_chart(rng: random.Random, series: Series, held_out: bool) -> Picture:
    """Bars or a line over their labels; the values are printed above them, or there is an axis."""
    paper = choose_paper(rng)
    while paper.height > paper.width and count_crops(rng) == 1:
        paper = choose_paper(rng)
    image = paper.blank()
    small = text.choose_face(rng, 17 / paper.scale, 40 / paper.scale, held_out)
    texts = [*series.labels, *(f"{value}{series.unit}" for value in series.values)]
    widest = max(text.measure_word(small.font, small.size, word) for word in texts)
    room = 0.78 if series.step else 0.86
    fit = min(1, paper.width * room / len(series.labels) * 0.94 / widest)
    fit = min(fit, paper.height / 8.5 / text.measure_line(small.font, small.size))
    small = text.Face(small.font, max(8, int(small.size * fit)), small.case)
    line = text.measure_line(small.font, small.size)
    plot = plan_plot(rng, paper, image, series, small)
    if series.step:
        draw_axis(rng, plot, small, series.step)
    elif rng.random() < 0.3:
        plot.pen.line((plot.left, plot.top, plot.left, plot.base), fill=paper.ink, width=2)
    slot = (plot.right - plot.left) / len(series.labels)
    plot.pen.line((plot.left, plot.base, plot.right, plot.base), fill=paper.ink, width=2)
    colours = [choose_colour(rng, paper)] * len(series.values)
    if rng.random() < 0.25:
        colours = [choose_colour(rng, paper) for _ in series.values]
    is_line, half = rng.random() < 0.2, slot * rng.uniform(0.2, 0.45)
    over, under = rng.uniform(0, 0.25) * line, rng.uniform(0.05, 0.3) * line
    points = []
    for index, value in enumerate(series.values):
        centre = plot.left + slot * (index + 0.5)
        y = plot.find_height(value)
        points.append((centre, y))
        if not is_line:
            draw_bar(plot, (centre - half, y, centre + half, plot.base), *colours[index])
        if series.is_printed:
            write_centred(plot, f"{value}{series.unit}", centre, y - line - over, small)
        under = min(under, paper.height - line - plot.base)
        write_centred(plot, series.labels[index], centre, plot.base + under, small)
    if is_line:
        plot.pen.line(points, fill=colours[0][1], width=max(2, round(3 / paper.scale)))
    mark_ends(plot, series, points, 0 if is_line else half)
    return Picture(image, tuple(plot.marks))


def choose_colour(rng: random.Random, paper: Paper) -> tuple[str, Rgb]:
    """A colour for the bars that stands out from the paper, and its name."""
    while True:
        name = rng.choice(COLOURS)
        colour = sample_colour(rng, name)
        if distance(colour, paper.background) > 90:
            return name, colour


def write_table(series: Series) -> str:
    """The values in Markdown."""
    rows = [
        f"| {label} | {value}{series.unit} |"
        for label, value in zip(series.labels, series.values, strict=True)
    ]
    return "\n".join(["| Label | Value |", "| --- | --- |", *rows])


def ask(rng: random.Random, series: Series) -> tuple[str, str]:
    """A question about the chart, and its answer."""
    roll = rng.random()
    if not series.is_printed and roll >= NUMBERLESS:
        roll = 1.0 if series.step else rng.uniform(0, NUMBERLESS)
    if roll < 0.14:
        answer = (
            f'The chart "{series.title}" shows {series.tell_all()}. The highest is '
            f"{series.tell(series.highest)}, the lowest {series.tell(series.lowest)}."
        )
        return rng.choice(DESCRIBING), answer
    if roll < 0.48:
        return rng.choice(HIGHEST), f"The highest is {series.tell(series.highest)}."
    if roll < NUMBERLESS:
        return rng.choice(LOWEST), f"The lowest is {series.tell(series.lowest)}."
    if roll < 0.76:
        return rng.choice(TABLES), write_table(series)
    index = rng.randrange(len(series.labels))
    label, value = series.labels[index], series.measure(index)
    answer = f"The value of {label} is {value}."
    if series.is_printed and rng.random() < 0.25:
        return f"{rng.choice(('Which has the value', 'Which one is', 'Which is'))} {value}?", answer
    question = rng.choice(("What is the value of", "What is the value for", "How much is"))
    return f"{question} {label}?", answer


def make_sample(rng: random.Random, held_out: bool = False) -> Sample:
    """A chart and one to four questions about it."""
    series = choose_series(rng, held_out)
    picture = draw_chart(rng, series, held_out)
    turns: dict[str, str] = {}  # questions by their answers: none is answered by a turn before
    for _ in range(rng.choice((1, 2, 3, 4))):
        asked, told = ask(rng, series)
        turns.setdefault(told, asked)
    (question, answer), *more = [(asked, told) for told, asked in turns.items()]
    return Sample("chart", (picture,), question, answer, tuple(more))
