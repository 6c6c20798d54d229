"""All tasks by name; the only module that knows all of them."""

import random

from training import (
    beyond,
    chart,
    compare,
    conversation,
    cover,
    describe,
    document,
    objects,
    odd_one,
    shapes,
    table,
    text,
)
from training.canvas import Sample

MAKERS = {
    "word": text.make_word,
    "ocr": text.make_sample,
    "shapes": shapes.make_sample,
    "describe": describe.make_sample,
    "cover": cover.make_sample,
    "compare": compare.make_sample,
    "objects": objects.make_sample,
    "chart": chart.make_sample,
    "table": table.make_table,
    "receipt": table.make_receipt,
    "beyond": beyond.make_sample,
    "conversation": conversation.make_sample,
    "two": conversation.make_pair,
    "odd one": odd_one.make_sample,
    "document": document.make_sample,
}
# Tasks whose samples cannot share a batch with the others: two or three pictures, whole pages.
PAIRS, TRIPLES, DOCUMENTS = ("compare", "two"), ("odd one",), ("document",)
GROUPS = (PAIRS, TRIPLES, DOCUMENTS)


def choose_group(rng: random.Random, tasks: dict[str, float]) -> dict[str, float]:
    """Return the tasks, by weight, that a batch is drawn from: one of GROUPS, or all others."""
    name = rng.choices(list(tasks), list(tasks.values()))[0]
    chosen = next((group for group in GROUPS if name in group), None)
    if chosen:
        return {task: weight for task, weight in tasks.items() if task in chosen}
    apart = {task for group in GROUPS for task in group}
    return {task: weight for task, weight in tasks.items() if task not in apart}


def draw_sample(rng: random.Random, tasks: dict[str, float], held_out: bool = False) -> Sample:
    """Draw a sample of a task that is chosen by weight."""
    names = [name for name in tasks if name in MAKERS]
    name = rng.choices(names, weights=[tasks[name] for name in names])[0]
    return MAKERS[name](rng, held_out)
