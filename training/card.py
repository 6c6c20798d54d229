"""The checkpoint's model card: training data, scores and sample answers."""

from pathlib import Path

from training.colours import COLOURS
from training.preview import draw_sheet, wrap
from training.scores import Score, Trial
from training.shapes import SHAPES

CARD = """---
license: mit
library_name: transformers
pipeline_tag: image-text-to-text
---

# The embedded checkpoint of phi3v

A small network of the architecture and file format of Phi-3-Vision, trained from scratch so that
the app answers at once on any computer, without a download or a GPU. It is not a shrunken Phi-3:
it knows nothing of the world and understands no photograph.

## What it was trained on

Nothing but pictures drawn by `training/` from a seed: printed words (English, invented, random
characters, numbers) in free fonts on plain backgrounds, one to five coloured shapes ({shapes}; in
{colours}), book covers, charts, tables, receipts, pairs of such pictures, and pictures of none of
these. No photograph, no text of other people, no other model's output. `python -m training train`
makes it from the seed, through the stages of `training/config.toml`, which says how long it took.

## What it scores

{count} samples of each task from seeds that training never draws. Pictures are seen in one crop up
to 336 px, in up to four up to 809 px, else in up to nine; single ones have 224 to 640, 336 to 1,280
and 600 to 1,344 px in turn. "Common" pictures: high contrast, common fonts, few words, upright
shapes. "Any": everything the code can draw: also italics, monospace, pale colours, random
characters.

{table}

The first common sample of each task, not picked (what it should have said, where that differs):

![Samples and answers](samples.webp)

What it answers about pictures drawn by other code than the training's is measured by
`python -m benchmarks.accuracy` and stands in `benchmarks/RESULTS.md`.

The curve of its training, by stages: shares of answers' tokens that are right, F1 of naming what
stands in each cell of the pictures, looking at what is to be said, sentences without pictures.

![Curve](curve.png)

## What it cannot do

Photographs, handwriting, print of less than about 15 pixels in the 336 px frames it sees, long
texts, and questions about anything but what is drawn: use
`--model microsoft/Phi-3.5-vision-instruct` for those. It compares two pictures of one or two shapes
or a few words each: fuller ones, or three, it may call identical though they differ, and of several
it does not know which one is asked about. Where the table shows errors, expect them: a letter
missing or wrong, a shape taken for a similar one, a difference overlooked.
"""


def format_table(scores: list[Score]) -> str:
    """Format scores as a Markdown table."""
    lines = ["| task | pictures | measure | score | samples |", "|---|---|---|---|---|"]
    lines += [
        f"| {s.task} | {s.pictures} | {s.measure} | {s.value:.1f} | {s.samples} |" for s in scores
    ]
    return "\n".join(lines)


def caption(trial: Trial) -> str:
    """Return question, answer and, if that is wrong, the expected answer."""
    lines = [wrap(trial.sample.question), wrap("> " + trial.answer)]
    if not trial.is_exact:
        lines.append(wrap("right: " + trial.sample.answer))
    return "\n".join(lines)


def write_card(folder: Path, scores: list[Score], shown: list[Trial]) -> None:
    """Write README.md and samples.webp beside the checkpoint."""
    text = CARD.format(
        shapes=", ".join(SHAPES),
        colours=", ".join(COLOURS),
        count=scores[0].samples,
        table=format_table(scores),
    )
    (folder / "README.md").write_text(text)
    sheet = draw_sheet([(trial.sample, caption(trial)) for trial in shown])
    sheet.save(folder / "samples.webp", quality=80)
