"""Bar and line charts with a title and labelled values."""

import random
from dataclasses import dataclass, field

from PIL import ImageDraw

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
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # from one number of an axis to the next
CLEAR = 0.1  # how far, as a share of the highest, the ends stand out where no value is printed
NUMBERLESS = 0.64  # the share of the questions whose answer can do without numbers
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

    @property
    def highest(self) -> int:
        """Index of the highest value."""
        return self.values.index(max(self.values))

    @property
    def lowest(self) -> int:
        """Index of the lowest value."""
        return self.values.index(min(self.values))

    def tell_all(self) -> str:
        """ "2020: 28, 2021: 35", or "2020 and 2021": what is compared is told before who wins."""
        if not self.is_printed:
            return join(self.labels)
        pairs = zip(self.labels, self.values, strict=True)
        return ", ".join(f"{label}: {value}{self.unit}" for label, value in pairs)

    def rank(self, word: str, index: int) -> str:
        """All of it, and that one is "the highest" or "the lowest"."""
        if not self.is_printed:
            return f"Of {self.tell_all()}, {word} is {self.tell(index)}."
        return f"{self.tell_all()}. {word.capitalize()} is {self.tell(index)}."

    def tell(self, index: int) -> str:
        """ "35 for 2021": first what stands out, then what stands below it; or "2021" alone."""
        if not self.is_printed:
            return self.labels[index]
        return f"{self.values[index]}{self.unit} for {self.labels[index]}"


@dataclass
class Plot:
    """A chart being drawn; places are in canvas pixels."""

    paper: Paper
    pen: ImageDraw.ImageDraw
    left: float  # where the first bar's slot begins
    top: float  # of the highest bar
    base: float  # of all bars
    marks: list[Mark] = field(default_factory=list)


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
    is_printed = rng.random() < 0.75
    while True:
        values = tuple(rng.sample(range(max(2, most // 10), most + 1), count))
        low, next_low, *_ = sorted(values)
        *_, next_high, high = sorted(values)
        if is_printed or min(next_low - low, high - next_high) >= CLEAR * high:
            break
    subject = rng.choice(SUBJECTS)
    if rng.random() < 0.4:
        subject = choose_word(rng, "title", held_out, hard=0.0, wide=False)
    title = rng.choice((subject, subject, f"{subject} by year", f"{subject} {labels[0]}"))
    return Series(title, labels, values, rng.choice(("", "", "", "%")), is_printed)


def write_centred(plot: Plot, words: str, centre: float, top: float, face: text.Face) -> None:
    """A line of text around a column of pixels."""
    x = round(centre - text.measure_word(face.font, face.size, words) / 2)
    x, y = max(1, x), round(top)
    font = load_font(face.font, face.size)
    plot.pen.text((x, y), words, font=font, fill=plot.paper.ink)
    plot.marks.extend(mark_word(face.font, face.size, words, x, y))


def draw_axis(rng: random.Random, plot: Plot, face: text.Face, highest: int) -> None:
    """Numbers at the left, with or without lines to the right of them; the plot moves over."""
    line = text.measure_line(face.font, face.size)
    apart = max(highest / 6, highest * line / (plot.base - plot.top))
    ticks = range(0, highest + 1, next((step for step in STEPS if step > apart), STEPS[-1]))
    width = max(text.measure_word(face.font, face.size, str(tick)) for tick in ticks)
    plot.left = width + face.size * 0.6
    is_grid = rng.random() < 0.5
    ink, background = plot.paper.ink, plot.paper.background
    grid = tuple((one + 3 * other) // 4 for one, other in zip(ink, background, strict=True))
    for tick in ticks:
        y = plot.base - (plot.base - plot.top) * tick / highest
        write_centred(plot, str(tick), width / 2 + 1, y - line / 2, face)
        if is_grid:
            plot.pen.line((plot.left, y, plot.paper.width * 0.98, y), fill=grid)
    plot.pen.line((plot.left, plot.top, plot.left, plot.base), fill=ink, width=2)


def draw_chart(rng: random.Random, series: Series, held_out: bool) -> Picture:
    """Bars or a line over their labels; the values are printed above them, or there is an axis."""
    paper = choose_paper(rng)
    while paper.height > paper.width and count_crops(rng) == 1:
        paper = choose_paper(rng)
    image = paper.blank()
    has_axis = not series.is_printed or rng.random() < 0.2
    room = 0.82 if has_axis else 0.94
    small = text.choose_face(rng, 18 / paper.scale, 26 / paper.scale, held_out)
    texts = [*series.labels, *(f"{value}{series.unit}" for value in series.values)]
    widest = max(text.measure_word(small.font, small.size, word) for word in texts)
    fit = min(1, paper.width * room / len(series.labels) * 0.94 / widest)
    small = text.Face(small.font, int(small.size * fit), small.case)
    large = text.choose_face(rng, 20 / paper.scale, 34 / paper.scale, held_out)
    large = text.fit_size([series.title], large, paper)
    line = text.measure_line(small.font, small.size)
    top = text.measure_line(large.font, large.size) * 1.1 + line
    plot = Plot(paper, ImageDraw.Draw(image), paper.width * 0.03, top, paper.height - line * 1.15)
    write_centred(plot, series.title, paper.width / 2, paper.height * 0.01, large)
    highest = max(series.values)
    if has_axis:
        draw_axis(rng, plot, small, highest)
    slot = (paper.width * 0.97 - plot.left) / len(series.labels)
    plot.pen.line((plot.left, plot.base, paper.width * 0.98, plot.base), fill=paper.ink, width=2)
    colours = [choose_colour(rng, paper)] * len(series.values)
    if rng.random() < 0.25:
        colours = [choose_colour(rng, paper) for _ in series.values]
    is_line = rng.random() < 0.3
    points = []
    for index, value in enumerate(series.values):
        centre = plot.left + slot * (index + 0.5)
        y = plot.base - (plot.base - plot.top) * value / highest
        points.append((centre, y))
        if not is_line:
            box = (centre - slot * 0.35, y, centre + slot * 0.35, plot.base)
            plot.pen.rectangle(box, fill=colours[index])
        if series.is_printed:
            write_centred(plot, f"{value}{series.unit}", centre, y - line * 1.05, small)
        write_centred(plot, series.labels[index], centre, plot.base + line * 0.05, small)
    if is_line:
        plot.pen.line(points, fill=colours[0], width=max(2, round(3 / paper.scale)))
    return Picture(image, tuple(plot.marks))


def choose_colour(rng: random.Random, paper: Paper) -> Rgb:
    """A colour for the bars that stands out from the paper."""
    while True:
        colour = sample_colour(rng, rng.choice(COLOURS))
        if distance(colour, paper.background) > 90:
            return colour


def write_table(series: Series) -> str:
    """The values in Markdown."""
    rows = [
        f"| {label} | {value}{series.unit} |"
        for label, value in zip(series.labels, series.values, strict=True)
    ]
    return "\n".join(["| Label | Value |", "| --- | --- |", *rows])


def ask(rng: random.Random, series: Series) -> tuple[str, str]:
    """A question about the chart, and its answer."""
    roll = rng.random() if series.is_printed else rng.uniform(0, NUMBERLESS)
    if roll < 0.25:
        answer = (
            f'The chart "{series.title}" shows {series.tell_all()}. The highest is '
            f"{series.tell(series.highest)}, the lowest {series.tell(series.lowest)}."
        )
        return rng.choice(DESCRIBING), answer
    if roll < 0.5:
        return rng.choice(HIGHEST), series.rank("the highest", series.highest)
    if roll < NUMBERLESS:
        return rng.choice(LOWEST), series.rank("the lowest", series.lowest)
    if roll < 0.76:
        return rng.choice(TABLES), write_table(series)
    index = rng.randrange(len(series.labels))
    label, value = series.labels[index], f"{series.values[index]}{series.unit}"
    answer = f"The value of {label} is {value}."
    if rng.random() < 0.25:
        return f"{rng.choice(('Which has the value', 'Which one is', 'Which is'))} {value}?", answer
    question = rng.choice(("What is the value of", "What is the value for", "How much is"))
    return f"{question} {label}?", answer


def make_sample(rng: random.Random, held_out: bool = False) -> Sample:
    """A chart and one to four questions about it."""
    series = choose_series(rng, held_out)
    picture = draw_chart(rng, series, held_out)
    (question, answer), *more = [ask(rng, series) for _ in range(rng.choice((1, 2, 3, 4)))]
    return Sample("chart", (picture,), question, answer, tuple(more))
