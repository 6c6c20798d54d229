"""Data of a chart: title, labels and values, and how answers state them."""

import random
from dataclasses import dataclass

from training.words import choose_word, join

STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200)  # between the numbers of an axis
CLEAR = 0.06  # least lead of both extremes, as a share of the highest, if no value is printed
PRINTED = 0.55  # the share of charts that print their values
SUBJECTS = ("Revenue", "Sales", "Profit", "Visitors", "Users", "Orders", "Price", "Income")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Series:
    """Title, labels and values of a chart."""

    title: str
    labels: tuple[str, ...]
    values: tuple[int, ...]
    unit: str  # written after every value
    is_printed: bool  # values are printed in the chart; else they can only be compared
    step: int = 0  # between the numbers of the axis; 0: there is no axis

    @property
    def highest(self) -> int:
        """Index of the highest value."""
        return self.values.index(max(self.values))

    @property
    def lowest(self) -> int:
        """Index of the lowest value."""
        return self.values.index(min(self.values))

    def tell_all(self) -> str:
        """Return "2020: 28, 2021: 35", or "2020 and 2021" if no value is printed."""
        if not self.is_printed:
            return join(self.labels)
        pairs = zip(self.labels, self.values, strict=True)
        return ", ".join(f"{label}: {value}{self.unit}" for label, value in pairs)

    def tell(self, index: int) -> str:
        """Return "2021 with 35", or "2021"; an answer reads both off the bar, not one another."""
        if not self.is_printed:
            return self.labels[index]
        return f"{self.labels[index]} with {self.values[index]}{self.unit}"

    def measure(self, index: int) -> str:
        """Return the value if it is printed, else "about" the nearest number of the axis."""
        value = self.values[index]
        if self.is_printed or not self.step:
            return f"{value}{self.unit}"
        return f"about {self.step * round(value / self.step)}"


def choose_labels(rng: random.Random, count: int, held_out: bool) -> tuple[str, ...]:
    """Choose years, months, quarters or words."""
    kind = rng.randrange(5)
    if kind <= 1:
        first = rng.randint(1990, 2030)
        return tuple(str(first + i) for i in range(count))
    if kind == 2:
        first = rng.choice((0, rng.randrange(len(MONTHS))))
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
    """Choose title, labels and three to six values, no two alike."""
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
