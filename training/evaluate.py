"""Measures exported files through the app's own processor and `generate`, and writes the card.

Everything asked here is held out: seeds, words and, half of the time, font families.
"""

import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from training import compare, cover, describe, shapes, text
from training.canvas import Dice, Sample

SEED = 9_000_000
BATCH = 10
BREADTHS = {"common": 0.0, "any": 1.0}  # see canvas.Dice


@dataclass(frozen=True)
class Trial:
    """A sample, and what the network answered."""

    sample: Sample
    answer: str


@dataclass(frozen=True)
class Score:
    """One row of the table."""

    task: str
    measure: str
    value: float
    samples: int
    pictures: str = ""


def make_one_shape(rng: random.Random, held_out: bool) -> Sample:
    """A single shape."""
    return shapes.make_sample(rng, held_out, count=1)


def make_two_shapes(rng: random.Random, held_out: bool) -> Sample:
    """Two shapes."""
    return shapes.make_sample(rng, held_out, count=2)


TASKS = {
    "ocr": text.make_sample,
    "one shape": make_one_shape,
    "two shapes": make_two_shapes,
    "describe": describe.make_sample,
    "cover": cover.make_sample,
    "compare": compare.make_sample,
}


def edit_distance(one: str, other: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def load(folder: Path) -> tuple[Phi3VForCausalLM, Phi3VProcessor]:
    """The exported checkpoint in the app's classes."""
    model = Phi3VForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, Phi3VProcessor.from_pretrained(folder)


@torch.inference_mode()
def ask(
    model: Phi3VForCausalLM, processor: Phi3VProcessor, samples: list[Sample], most: int = 160
) -> list[str]:
    """Answers to a batch of samples."""
    prompts, images = [], []
    for sample in samples:
        tags = "".join(f"<|image_{i + 1}|>\n" for i in range(len(sample.pictures)))
        prompts.append(f"<|user|>\n{tags}{sample.question}<|end|>\n<|assistant|>\n")
        images.append([picture.image for picture in sample.pictures])
    inputs = processor(prompts, images, return_tensors="pt")
    written = model.generate(**inputs, max_new_tokens=most, do_sample=False)
    written = written[:, inputs["input_ids"].shape[1] :]
    return processor.batch_decode(
        written, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )


def run_task(
    model: Phi3VForCausalLM, processor: Phi3VProcessor, task: str, count: int, breadth: float
) -> Iterator[Trial]:
    """`count` held-out samples of a task, drawn as wide as `breadth` says."""
    samples = [
        TASKS[task](Dice(f"{SEED}:{task}:{index}", breadth), index % 2 == 1)
        for index in range(count)
    ]
    for start in range(0, count, BATCH):
        part = samples[start : start + BATCH]
        for sample, answer in zip(part, ask(model, processor, part), strict=True):
            yield Trial(sample, answer)


def share(values: list[bool]) -> float:
    """The share of true values, in percent."""
    return 100 * sum(values) / max(1, len(values))


def error_rate(trials: list[Trial]) -> float:
    """Character error rate over all trials, in percent."""
    wrong = sum(edit_distance(trial.answer, trial.sample.answer) for trial in trials)
    return 100 * wrong / max(1, sum(len(trial.sample.answer) for trial in trials))


def names_same(trial: Trial) -> bool:
    """Whether the answer is right up to the name of the background."""
    wanted, found = (t.split(" on a")[0] for t in (trial.sample.answer, trial.answer))
    return wanted == found


def score_task(task: str, trials: list[Trial]) -> list[Score]:
    """The rows of a task."""
    exact = share([trial.answer == trial.sample.answer for trial in trials])
    count = len(trials)
    if task == "ocr":
        plain = [t for i, t in enumerate(trials) if i % 2 == 0]
        unseen = [t for i, t in enumerate(trials) if i % 2 == 1]
        return [
            Score("Read print", "character error rate, %", error_rate(trials), count),
            Score("- words and fonts trained on", "same", error_rate(plain), len(plain)),
            Score("- unseen words and fonts", "same", error_rate(unseen), len(unseen)),
            Score("Read print", "every character right, %", exact, count),
        ]
    if task in ("one shape", "two shapes"):
        return [
            Score(
                f"Describe {task}",
                "colours and shapes right, %",
                share([names_same(trial) for trial in trials]),
                count,
            ),
            Score(f"Describe {task}", "background right too, %", exact, count),
        ]
    if task == "compare":
        same = [t for t in trials if "identical" in t.sample.answer]
        differ = [t for t in trials if "identical" not in t.sample.answer]
        return [
            Score(
                "Compare two pictures",
                "both values right, %",
                share([t.answer == t.sample.answer for t in differ]),
                len(differ),
            ),
            Score(
                "Compare two pictures",
                "called different, %",
                share(["identical" not in t.answer for t in differ]),
                len(differ),
            ),
            Score(
                "Compare identical pictures",
                "called identical, %",
                share(["identical" in t.answer for t in same]),
                len(same),
            ),
        ]
    title = {"describe": "Print, or a labelled shape", "cover": "Title and author of a book"}[task]
    return [
        Score(title, "whole answer right, %", exact, count),
        Score(title, "character error rate, %", error_rate(trials), count),
    ]


def evaluate(folder: Path, count: int, show: int = 0) -> list[Score]:
    """All rows; prints some answers on the way."""
    model, processor = load(folder)
    scores: list[Score] = []
    for task, (pictures, breadth) in itertools.product(TASKS, BREADTHS.items()):
        began = time.monotonic()
        trials = list(run_task(model, processor, task, count, breadth))
        scores += [replace(score, pictures=pictures) for score in score_task(task, trials)]
        for trial in trials[:show]:
            print(f"  {trial.sample.question!r}\n   want {trial.sample.answer!r}")
            print(f"   got  {trial.answer!r}")
        print(f"{task}: {(time.monotonic() - began) / count:.2f} s a sample", flush=True)
    return scores


def format_table(scores: list[Score]) -> str:
    """The rows in Markdown."""
    lines = ["| task | pictures | measure | score | samples |", "|---|---|---|---|---|"]
    lines += [
        f"| {s.task} | {s.pictures} | {s.measure} | {s.value:.1f} | {s.samples} |" for s in scores
    ]
    return "\n".join(lines)
