"""All tasks by name; the only module that knows all of them."""

import random

from training import beyond, chart, compare, cover, describe, objects, shapes, table, text
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
}


def draw_sample(rng: random.Random, tasks: dict[str, float], held_out: bool = False) -> Sample:
    """Draw a sample of a task that is chosen by weight."""
    names = [name for name in tasks if name in MAKERS]
    name = rng.choices(names, weights=[tasks[name] for name in names])[0]
    return MAKERS[name](rng, held_out)
