"""Measures an exported checkpoint through the app's own prompt, processor and `generate`.

All samples are held out: by seed, and where a task says so by words and font families.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from phi3v.conversation.prompt import crop_choices
from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from training import (
    beyond,
    chart,
    compare,
    cover,
    describe,
    document,
    objects,
    odd_one,
    shapes,
    table,
    text,
)
from training.canvas import Dice, Sample
from training.scores import Score, Trial, score_false_alarms, score_task

SEED = 9_000_000
BATCH = 10
BREADTHS = {"common": 0.0, "any": 1.0}  # see canvas.Dice
Make = Callable[[random.Random], Sample]


def fix(make: Callable, **arguments: object) -> Make:
    """Bind some of a maker's arguments."""
    return lambda rng: make(rng, **arguments)


def choose(make: Callable, wanted: Callable[[Sample], bool]) -> Make:
    """Return a maker of only those samples for which `wanted` is true."""

    def draw(rng: random.Random) -> Sample:
        while True:
            sample = make(rng)
            if wanted(sample):
                return sample

    return draw


TASKS: dict[str, Make] = {
    "one large word or two": text.make_word,
    "1 to 4 lines of 24 to 56 px": fix(text.make_lines, low=24, high=56),
    "1 to 4 lines of 18 to 24 px": fix(text.make_lines, low=18, high=24),
    "1 to 4 lines, unseen fonts and words": fix(text.make_lines, low=24, high=56, held_out=True),
    "one shape": fix(shapes.make_sample, count=1),
    "two shapes": fix(shapes.make_sample, count=2),
    "print, or a labelled shape": describe.make_sample,
    "title and author of a book": choose(cover.make_sample, lambda s: s.task == "cover"),
    "up to three placed objects": choose(
        objects.make_sample,
        lambda s: s.question in objects.DETAILED and s.answer.count(" the ") <= 3,
    ),
    "placed objects, listed": choose(objects.make_sample, lambda s: s.question in objects.LISTING),
    "placed objects, counted": choose(
        objects.make_sample, lambda s: s.question.startswith(("How many", "Count"))
    ),
    "one of the placed objects": choose(
        objects.make_sample,
        lambda s: (
            s.question.startswith(("What", "Where", "Which shape"))
            and s.question not in (*objects.LISTING, *shapes.QUESTIONS)
        ),
    ),
    "two pictures that differ": choose(compare.make_sample, lambda s: "identical" not in s.answer),
    "two identical pictures": choose(compare.make_sample, lambda s: "identical" in s.answer),
    "odd one of three pictures": choose(odd_one.make_sample, lambda s: "odd" in s.answer),
    "page of a PDF": document.make_sample,
    "chart, the highest": choose(chart.make_sample, lambda s: s.question in chart.HIGHEST),
    "chart, one value": choose(chart.make_sample, lambda s: s.answer.startswith("The value")),
    "chart, described": choose(chart.make_sample, lambda s: s.answer.startswith("The chart")),
    "table": choose(table.make_table, lambda s: s.question in table.QUESTIONS),
    "table, some rows or cells": choose(
        table.make_table, lambda s: s.question not in (*table.QUESTIONS, *text.QUESTIONS)
    ),
    "receipt": table.make_receipt,
    "beyond it": choose(beyond.make_sample, lambda s: s.answer == beyond.ANSWER),
    "empty picture": choose(beyond.make_sample, lambda s: s.answer == beyond.EMPTY),
}


def load(folder: Path) -> tuple[Phi3VForCausalLM, Phi3VProcessor]:
    """Load an exported checkpoint into the app's classes."""
    model = Phi3VForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, Phi3VProcessor.from_pretrained(folder)


@torch.inference_mode()
def ask(
    model: Phi3VForCausalLM,
    processor: Phi3VProcessor,
    samples: list[Sample],
    num_crops: int,
    most: int = 200,
) -> list[str]:
    """Return greedy answers, of at most `most` tokens each, to a batch of samples."""
    prompts, images = [], []
    for sample in samples:
        tags = "".join(f"<|image_{i + 1}|>\n" for i in range(len(sample.pictures)))
        prompts.append(f"<|user|>\n{tags}{sample.question}<|end|>\n<|assistant|>\n")
        images.append([picture.image for picture in sample.pictures])
    inputs = processor(prompts, images, return_tensors="pt", num_crops=num_crops)
    written = model.generate(**inputs, max_new_tokens=most, do_sample=False)
    written = written[:, inputs["input_ids"].shape[1] :]
    return processor.batch_decode(
        written, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )


def draw_samples(task: str, count: int, breadth: float) -> list[Sample]:
    """Draw held-out samples of a task; single pictures are small, large and largest in turn."""
    samples = []
    for index in range(count):
        rng = Dice(f"{SEED}:{task}:{index}", breadth)
        across = 1 if task.startswith(("two ", "odd ")) else 1 + index % 3
        rng.grid = (across, across)
        samples.append(TASKS[task](rng))
    return samples


def run_task(
    model: Phi3VForCausalLM, processor: Phi3VProcessor, task: str, count: int, breadth: float
) -> list[Trial]:
    """Return answers to `count` samples of a task, drawn with a breadth (see canvas.Dice).

    num_crops is what the app would choose.
    """
    groups: dict[int, list[Sample]] = defaultdict(list)
    for sample in draw_samples(task, count, breadth):
        sizes = [picture.image.size for picture in sample.pictures]
        groups[crop_choices(None, sizes, processor)[0]].append(sample)
    trials = []
    for num_crops, samples in groups.items():
        for start in range(0, len(samples), BATCH):
            part = samples[start : start + BATCH]
            longest = max(len(sample.answer) for sample in part)
            answers = ask(model, processor, part, num_crops, max(200, longest + 100))
            trials += [Trial(*pair) for pair in zip(part, answers, strict=True)]
    return trials


def evaluate(
    folder: Path, count: int, show: int = 0, tasks: list[str] | None = None
) -> tuple[list[Score], list[Trial]]:
    """Return all scores, and each task's first common sample; prints `show` answers per task."""
    model, processor = load(folder)
    scores: list[Score] = []
    first: list[Trial] = []
    for pictures, breadth in BREADTHS.items():
        everything: list[Trial] = []
        for task in tasks or TASKS:
            trials = run_task(model, processor, task, count, breadth)
            everything += trials
            rows = [replace(score, pictures=pictures) for score in score_task(task, trials)]
            print(pictures, task, *(f"{row.measure} {row.value:.1f}" for row in rows), flush=True)
            for trial in trials[:show]:
                print(f"  {trial.sample.question!r}\n   want {trial.sample.answer!r}")
                print(f"   got  {trial.answer!r}")
            scores += rows
            first += trials[:1] if breadth == 0 else []
        scores.append(replace(score_false_alarms(everything), pictures=pictures))
    return scores, first
