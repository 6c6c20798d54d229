"""Questions about bar and line charts, and their answers."""

import random

from training.canvas import Sample
from training.plot import draw_chart
from training.series import Series, choose_series
from training.words import join

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
BY_COLOUR = (
    "Which bar is {}?",
    "What is the {} bar?",
    "What does the {} bar show?",
)
OF_VALUES = ("Which have the values {}?", "Which are {}?", "Which bars show {}?")
OF_LABELS = ("What are the values of {}?", "How much are {}?", "Give the values of {}.")
TABLES = (
    "Write the numbers of this chart as a table.",
    "Convert this chart to a table.",
    "Give the values of the chart as a table.",
)
NUMBERLESS = 0.68  # the share of the questions that can be answered without numbers


def write_table(series: Series) -> str:
    """Format the values as a Markdown table."""
    rows = [
        f"| {label} | {value}{series.unit} |"
        for label, value in zip(series.labels, series.values, strict=True)
    ]
    return "\n".join(["| Label | Value |", "| --- | --- |", *rows])


def ask_for_several(
    rng: random.Random, series: Series, colours: tuple[str, ...]
) -> tuple[str, str]:
    """Ask for some of the bars in random order, so that each one's column has to be located.

    Needs printed values, or bars of different colours.
    """
    count = len(series.labels)
    some = rng.sample(range(count), rng.randint(2, count))
    if colours and (not series.is_printed or rng.random() < 0.5):
        asked = f"What are the {join(tuple(colours[i] for i in some))} bars?"
        answer = join(tuple(f"the {colours[i]} bar is {series.tell(i)}" for i in some))
        return asked, f"{answer[0].upper()}{answer[1:]}."
    labels = tuple(series.labels[i] for i in some)
    values = tuple(f"{series.values[i]}{series.unit}" for i in some)
    if rng.random() < 0.5:
        pairs, asked = (values, labels), rng.choice(OF_VALUES).format(join(values))
    else:
        pairs, asked = (labels, values), rng.choice(OF_LABELS).format(join(labels))
    answer = join(tuple(f"{one} is {other}" for one, other in zip(*pairs, strict=True)))
    return asked, f"{answer}."


def ask(rng: random.Random, series: Series, colours: tuple[str, ...]) -> tuple[str, str]:
    """Return a random question about the chart, and its answer."""
    if colours and rng.random() < 0.25:
        index = rng.randrange(len(colours))
        question = rng.choice(BY_COLOUR).format(colours[index])
        return question, f"The {colours[index]} bar is {series.tell(index)}."
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
    """A chart and one to five questions about it."""
    series = choose_series(rng, held_out)
    picture, colours = draw_chart(rng, series, held_out)
    asked = [ask(rng, series, colours) for _ in range(rng.choice((1, 2, 3, 4)))]
    if (colours or series.is_printed) and rng.random() < 0.8:
        asked.insert(rng.randint(0, len(asked)), ask_for_several(rng, series, colours))
    turns = {answer: question for question, answer in asked}  # no answer is given twice
    (question, answer), *more = [(question, answer) for answer, question in turns.items()]
    return Sample("chart", (picture,), question, answer, tuple(more))
