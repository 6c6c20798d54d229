"""The checkpoint's model card."""

from pathlib import Path

from training.colours import COLOURS
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
characters, numbers) in free fonts on plain backgrounds, one or two coloured shapes, simple book
covers, and pairs of such pictures. No photograph, no text of other people, no other model's output.
`python -m training train` makes it again.

## What it can do

- Read one or two lines of large print.
- Describe one or two shapes: {shapes} in {colours}.
- Give the title and the author of a simple book cover.
- Say what two such pictures show, and whether they are identical.

## What it scores

Held-out seeds; every second sample also in words and font families that training never prints.
Pictures are 224 to 640 px wide, print is 24 to 72 px high.

{table}

## What it cannot do

Photographs, handwriting, charts, tables, long or small print, counting, more than two shapes, and
questions about anything but what is drawn. It answers such questions all the same, and wrongly: use
`--model microsoft/Phi-3.5-vision-instruct` for those. It sees every picture as one 336 px frame
(num_crops 1), so print under about 5 % of the picture's longer side is lost.
"""


def write_card(folder: Path, table: str) -> None:
    """Write README.md beside the checkpoint."""
    text = CARD.format(shapes=", ".join(SHAPES), colours=", ".join(COLOURS), table=table)
    (folder / "README.md").write_text(text)
