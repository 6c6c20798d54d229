"""Three pictures, one of which differs from the two others, or none."""

import random
import re

from training.canvas import Sample
from training.compare import compare_shapes, compare_text

QUESTIONS = (
    "Which picture is different from the others?",
    "Which picture is different?",
    "Which image is the odd one out?",
    "Which one is the odd one out?",
    "Which of the three pictures differs?",
    "One of these pictures is different. Which one?",
    "Which image is not like the others?",
    "Are these three pictures the same?",
    "What are the differences between these images?",
    "Compare the three pictures.",
)
SHOWING = (
    "What do the three pictures show?",
    "Describe the three images.",
    "What is in each picture?",
)
ORDINALS = ("first", "second", "third")
ODD = re.compile(r": the (first|second|third) picture is the odd one")


def make_sample(rng: random.Random, held_out: bool = False) -> Sample:
    """Three pictures: all are named in turn, and then the one that differs."""
    while True:
        same, names = compare_text(rng, held_out) if rng.random() < 0.4 else compare_shapes(rng)
        if names[0] != names[1] or rng.random() < 0.15:
            break
    odd = rng.randrange(3)
    pictures = tuple(same[1] if index == odd else same[0] for index in range(3))
    shown = [names[1] if index == odd else names[0] for index in range(3)]
    return Sample("odd one", pictures, *ask(rng, shown, odd))


def ask(rng: random.Random, shown: list[str], odd: int) -> tuple[str, str]:
    """Return a question about three pictures and its answer, which names what each shows first."""
    first, second, third = shown
    answer = f"The first picture shows {first}, the second {second}, the third {third}"
    if rng.random() < 0.2:
        return rng.choice(SHOWING), f"{answer}."
    if len(set(shown)) == 1:
        return rng.choice(QUESTIONS), f"{answer}: the pictures are identical."
    return rng.choice(QUESTIONS), f"{answer}: the {ORDINALS[odd]} picture is the odd one."
