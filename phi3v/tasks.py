"""The tasks describe, ocr and compare: their prompts, presets, examples and requirements.

The one table from which the page, its endpoints and the command line build their requests. Knows
the prompts sent to the model; must not know the model or the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phi3v.request import ImageSource, Request, RequestError, Sampling, Turn
from phi3v.results.formats import OutputFormat
from phi3v.translatable import Text

# num_crops by the name of a level of detail; None lets the engine choose.
DETAILS: dict[str, int | None] = {"fast": 1, "balanced": 4, "fine": 16, "auto": None}

# Inside the package where it is installed, next to it in a clone.
ASSETS = next(folder for parent in Path(__file__).parents if (folder := parent / "assets").is_dir())
EXAMPLES = ASSETS / "examples"


@dataclass(frozen=True)
class Example:
    """A question about drawn images, for one click on the page; files are in assets/examples."""

    files: tuple[str, ...]
    question: str

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths of the images."""
        return tuple(EXAMPLES / file for file in self.files)


@dataclass(frozen=True)
class Task:
    """One use of the model: its texts, its default prompt and the images that it requires.

    default_prompt replaces an empty question. is_verbatim marks answers that are shown as plain
    text, because their `#` and `*` are transcribed and not Markdown.
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
        Example(("garden.png",), "Describe the image and say where everything is."),
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
        Example(("receipt.png",), "Read the text in this image."),
        Example(("table.png",), "Convert this table to Markdown."),
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


@dataclass(frozen=True)
class Preset:
    """A prepared question of a task and the output format of its answer.

    prompt is worded for the published checkpoints. embedded_prompt is the wording that the embedded
    checkpoint was trained on; empty where it was not trained for anything similar, and then the
    task's default prompt is asked. A preset without a prompt asks what the user types.
    """

    name: str
    task: Task
    title: str
    prompt: str
    embedded_prompt: str = ""
    output_format: OutputFormat = "text"

    def wording(self, is_embedded: bool = False) -> str:
        """Return the prompt in the wording of the embedded or of a published checkpoint."""
        if is_embedded:
            return self.embedded_prompt or self.task.default_prompt
        return self.prompt or self.task.default_prompt


ONLY_TEXT = "Extract all text from the image. Answer with the text only."

# The first preset of a task is its default. "Answer with ... only" prevents most commentary;
# phi3v.results.cleaning removes the rest.
PRESETS = (
    Preset(
        "detailed",
        DESCRIBE,
        "Detailed description",
        "Describe this image in detail: what it shows, where things are, colours, and any text.",
        "Describe the image in detail.",
        "markdown",
    ),
    Preset(
        "caption",
        DESCRIBE,
        "Caption",
        "Write a caption for this image: one sentence, and nothing else.",
        "Describe this image in one sentence.",
    ),
    Preset(
        "objects",
        DESCRIBE,
        "List of objects",
        "List the objects in this image as a Markdown list: one line for each kind, with how many "
        "there are and where. Answer with the list only.",
        "List the objects.",
        output_format="markdown",
    ),
    Preset(
        "chart",
        DESCRIBE,
        "Chart or table",
        "Analyse the chart or table in this image. Give its numbers as a Markdown table with a "
        "header row, then say in two sentences what they show.",
        "Write the numbers of this chart as a table.",
        output_format="markdown",
    ),
    Preset("question", DESCRIBE, "Your own question", "", output_format="markdown"),
    Preset("text", OCR, "Text", ONLY_TEXT + " Keep its lines.", ONLY_TEXT),
    Preset(
        "markdown",
        OCR,
        "Markdown",
        "Transcribe this image as Markdown: headings as headings, lists as lists, tables as "
        "Markdown tables with a header row. Answer with the transcription only.",
        "Extract the table from the image as Markdown.",
        "markdown",
    ),
    Preset(
        "json",
        OCR,
        "JSON (forms, receipts)",
        "Read the names and values in this document and answer with one JSON object only, each "
        "name with its value as a string, exactly as printed.",
        ONLY_TEXT,
        "json",
    ),
    Preset(
        "csv",
        OCR,
        "CSV (tables)",
        "Transcribe the table in this image as a Markdown table with a header row, every cell "
        "exactly as printed. Answer with the table only.",
        "Convert this table to Markdown.",
        "csv",
    ),
    Preset(
        "differences",
        COMPARE,
        "Differences",
        "Compare these images: list every difference, and then say in one sentence what is the "
        "same.",
        COMPARE.default_prompt,
        "markdown",
    ),
)


def presets_of(task: Task) -> tuple[Preset, ...]:
    """Return a task's presets, its default first."""
    return tuple(preset for preset in PRESETS if preset.task is task)


def find_preset(task: Task, name: str = "") -> Preset:
    """Return a task's preset by name, its default for "". Raises RequestError for others."""
    presets = presets_of(task)
    if not name:
        return presets[0]
    for preset in presets:
        if preset.name == name:
            return preset
    known = ", ".join(preset.name for preset in presets)
    raise RequestError(
        "{task} has no preset {name!r}: choose one of {known}.",
        task=Text(task.title),
        name=name,
        known=known,
    )


def ready_names(task: Task) -> str:
    """Return the names, comma-separated, of a task's presets with a prompt; for documentation."""
    return ", ".join(preset.name for preset in presets_of(task) if preset.prompt)


def word_question(task: Task, text: str, is_embedded: bool) -> str:
    """Return the prompt of the task's preset named `text`, or the text if there is none."""
    name = text.strip()
    named = [preset for preset in presets_of(task) if preset.prompt and preset.name == name]
    return named[0].wording(is_embedded) if named else text


def build_request(
    task: Task,
    history: Sequence[Turn],
    images: Sequence[ImageSource],
    question: str,
    sampling: Sampling,
    num_crops: int | None = None,
) -> Request:
    """Return the request for one more question, with its images, after the turns in `history`.

    An empty question becomes the task's default prompt. The text is passed on unescaped: the engine
    disarms markup of the chat format in it (phi3v.conversation.prompt). Raises RequestError if the
    conversation has fewer images than the task needs.
    """
    found = len(images) + sum(len(turn.images) for turn in history)
    if found < task.least_images:
        title = Text(task.title)
        if task.least_images == 1:
            raise RequestError(
                "{task} needs at least one picture, and none is there: add it.", task=title
            )
        if not found:
            raise RequestError(
                "{task} needs at least two pictures, and none is there: add it.", task=title
            )
        raise RequestError(
            "{task} needs at least two pictures, and there is only {found}: add one.",
            task=title,
            found=found,
        )
    turn = Turn("user", question.strip() or task.default_prompt, tuple(images))
    return Request((*history, turn), sampling, num_crops)
