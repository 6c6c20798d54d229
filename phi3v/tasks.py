"""Describe, read, compare: what each task asks, needs and shows as examples.

The one table that the page, its endpoints and any other front end build their requests from. Knows
the words sent to the network; knows neither the network nor the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phi3v.request import ImageSource, Request, RequestError, Sampling, Turn

EXAMPLES = Path(__file__).parent.parent / "assets" / "examples"


@dataclass(frozen=True)
class Example:
    """A question about drawn pictures that answers on a click; files lie in assets/examples."""

    files: tuple[str, ...]
    question: str

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the pictures are."""
        return tuple(EXAMPLES / file for file in self.files)


@dataclass(frozen=True)
class Task:
    """One way to use the network: its question when the user asks none, and what it needs.

    A verbatim answer is shown letter by letter, because its `#` and `*` are not Markdown.
    """

    name: str
    title: str
    hint: str
    default_prompt: str
    least_images: int
    examples: tuple[Example, ...]
    is_verbatim: bool = False


DESCRIBE = Task(
    name="describe",
    title="Describe",
    hint="What is in a picture, or anything you want to know about it.",
    default_prompt="Describe this image.",
    least_images=1,
    examples=(
        Example(("circle.png",), "Describe this image."),
        Example(("shapes.png",), "What do you see?"),
        Example(("revenue.png",), "Could you please introduce this stock to me?"),
    ),
)

OCR = Task(
    name="ocr",
    title="OCR",
    hint="The text printed in a picture.",
    default_prompt="Read the text in this image.",
    least_images=1,
    examples=(
        Example(
            ("book.png",),
            "Help me get the title and author information of this book?",
        ),
        Example(("sign.png",), "Read the text in this image."),
        Example(("poster.png",), "What does it say?"),
    ),
    is_verbatim=True,
)

COMPARE = Task(
    name="compare",
    title="Compare",
    hint="What differs between two or more pictures.",
    default_prompt="What are the differences between these images?",
    least_images=2,
    examples=(
        Example(("shop-open.png", "shop-closed.png"), "What is difference in this two images?"),
        Example(
            ("circle.png", "circle-blue.png"), "What are the differences between these images?"
        ),
    ),
)

TASKS = (DESCRIBE, OCR, COMPARE)


def build_request(
    task: Task,
    history: Sequence[Turn],
    images: Sequence[ImageSource],
    question: str,
    sampling: Sampling,
    num_crops: int | None = None,
) -> Request:
    """Put one more question, and the pictures that came with it, to a conversation.

    history holds the turns so far, questions and answers; an empty question becomes the task's own.
    The text goes through as it is: that it cannot pass for the chat format's marks is the engine's
    work. Raises RequestError when the conversation has too few pictures for the task.
    """
    found = len(images) + sum(len(turn.images) for turn in history)
    if found < task.least_images:
        least = "at least one picture" if task.least_images == 1 else "at least two pictures"
        have = "none is there" if found == 0 else f"there is only {found}"
        raise RequestError(
            f"{task.title} needs {least}, and {have}: add {'one' if found else 'it'}."
        )
    turn = Turn("user", question.strip() or task.default_prompt, tuple(images))
    return Request((*history, turn), sampling, num_crops)
