"""Bar and line charts with a title and labelled values."""

import random
from dataclasses import dataclass

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
from training.words import choose_word

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
SUBJECTS = ("Revenue", "Sales", "Profit", "Visitors", "Users", "Orders", "Price", "Income")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Series:
    """What a chart shows."""

    title: str
    labels: tuple[str, ...]
    values: tuple[int, ...]
    unit: str  # written after every value

    @property
    def highest(self) -> int:
        """Index of the highest value."""
        return self.values.index(max(self.values))

    @property
    def lowest(self) -> int:
        """Index of the lowest value."""
        return self.values.index(min(self.values))

    def tell(self, index: int) -> str:
        """ "2021 with 35"."""
        return f"{self.labels[index]} with {self.values[index]}{self.unit}"


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
    """Three to six values, no two alike at the ends."""
    count = rng.choice((3, 4, 4, 5, 5, 6))
    labels = choose_labels(rng, count, held_out)
    most = rng.choice((20, 50, 99, 99, 500))
    values = tuple(rng.sample(range(max(2, most // 10), most + 1), count))
    subject = rng.choice(SUBJECTS)
    if rng.random() < 0.4:
        subject = choose_word(rng, "title", held_out, hard=0.0, wide=False)
    title = rng.choice((subject, subject, f"{subject} by year", f"{subject} {labels[0]}"))
    return Series(title, labels, values, rng.choice(("", "", "", "%")))


def draw_chart(rng: random.Random, series: Series, held_out: bool) -> Picture:
    """Bars or a line, the values printed above them and the labels below."""
    paper = choose_paper(rng)
    while paper.height > paper.width and count_crops(rng) == 1:
        paper = choose_paper(rng)
    image = paper.blank()
    draw = ImageDraw.Draw(image)
    marks: list[Mark] = []
    slot = paper.width * 0.94 / len(series.labels)
    small = text.choose_face(rng, 18 / paper.scale, 26 / paper.scale, held_out)
    texts = [*series.labels, *(f"{value}{series.unit}" for value in series.values)]
    widest = max(text.measure_word(small.font, small.size, word) for word in texts)
    small = text.Face(small.font, int(small.size * min(1, slot * 0.94 / widest)), small.case)
    large = text.choose_face(rng, 20 / paper.scale, 34 / paper.scale, held_out)
    large = text.fit_size([series.title], large, paper)
    line = text.measure_line(small.font, small.size)

    def write(words: str, centre: float, top: float, face: text.Face) -> None:
        x = round(centre - text.measure_word(face.font, face.size, words) / 2)
        x, y = max(1, x), round(top)
        draw.text((x, y), words, font=load_font(face.font, face.size), fill=paper.ink)
        marks.extend(mark_word(face.font, face.size, words, x, y))

    write(series.title, paper.width / 2, paper.height * 0.01, large)
    top = text.measure_line(large.font, large.size) * 1.1 + line
    base = paper.height - line * 1.15
    draw.line((paper.width * 0.02, base, paper.width * 0.98, base), fill=paper.ink, width=2)
    colour = choose_colour(rng, paper)
    is_line = rng.random() < 0.3
    points = []
    for index, value in enumerate(series.values):
        centre = paper.width * 0.03 + slot * (index + 0.5)
        y = base - (base - top) * value / max(series.values)
        points.append((centre, y))
        if not is_line:
            draw.rectangle((centre - slot * 0.35, y, centre + slot * 0.35, base), fill=colour)
        write(f"{value}{series.unit}", centre, y - line * 1.05, small)
        write(series.labels[index], centre, base + line * 0.05, small)
    if is_line:
        draw.line(points, fill=colour, width=max(2, round(3 / paper.scale)))
    return Picture(image, tuple(marks))


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
    roll = rng.random()
    if roll < 0.45:
        answer = (
            f'The chart "{series.title}" shows {len(series.labels)} values. The highest is '
            f"{series.tell(series.highest)}, the lowest {series.tell(series.lowest)}."
        )
        return rng.choice(DESCRIBING), answer
    if roll < 0.65:
        return rng.choice(HIGHEST), f"The highest is {series.tell(series.highest)}."
    if roll < 0.75:
        return rng.choice(LOWEST), f"The lowest is {series.tell(series.lowest)}."
    if roll < 0.85:
        return rng.choice(TABLES), write_table(series)
    index = rng.randrange(len(series.labels))
    label, value = series.labels[index], f"{series.values[index]}{series.unit}"
    question = rng.choice(("What is the value of", "What is the value for", "How much is"))
    return f"{question} {label}?", f"The value of {label} is {value}."


def make_sample(rng: random.Random, held_out: bool = False) -> Sample:
    """A chart and one to three questions about it."""
    series = choose_series(rng, held_out)
    picture = draw_chart(rng, series, held_out)
    (question, answer), *more = [ask(rng, series) for _ in range(rng.choice((1, 1, 2, 3)))]
    return Sample("chart", (picture,), question, answer, tuple(more))
