"""The checkpoint's model card."""

from pathlib import Path

from training.colours import COLOURS
from training.shapes import COMMON, SHAPES

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
`python -m training train` trains one
from the seed; this one was restarted by hand, and the drawing code changed on the way.

## What it can do, with the errors that the table shows

- Name the colour and the kind of one shape: {shapes}; in {colours}.
  An ellipse becomes a circle and a rectangle a square: of ten each, drawn apart from training,
  none was told right.
- Read one or two large words, often with wrong or missing letters.
- Say what each of two such pictures shows.

## What it scores

Held-out seeds; every second sample in words and font families that training never prints.
"Common" pictures: high contrast, common fonts, large print of one or two words, upright shapes
without ellipses and rectangles. "Any": everything the code can draw, up to three lines, italics,
monospace, pale colours, random characters. Pictures are 224 to 640 px wide.

{table}

## What it cannot do

Book covers and two lines at once come out wrong more often than right; it tells an ellipse from a
circle and a rectangle from a square badly, and does not say when two pictures are identical.
Photographs, handwriting, charts, tables, long or small print, counting, and questions about
anything but what is drawn are beyond it. It answers all of these the same, and wrongly: use
`--model microsoft/Phi-3.5-vision-instruct` for those. It sees every picture as one 336 px frame
(num_crops 1), so print under about 5 % of the picture's longer side is lost.
"""


def write_card(folder: Path, table: str) -> None:
    """Write README.md beside the checkpoint."""
    drawn = [shape for shape, weight in zip(SHAPES, COMMON, strict=True) if weight]
    text = CARD.format(shapes=", ".join(drawn), colours=", ".join(COLOURS), table=table)
    (folder / "README.md").write_text(text)
