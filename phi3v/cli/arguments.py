"""The argument parser of the command line; imports nothing slow, so that --help is instant."""

import argparse
from typing import Final

from phi3v.documents.resolution import DEFAULT_FRAMES
from phi3v.results.formats import FORMATS
from phi3v.tasks import COMPARE, DESCRIBE, DETAILS, OCR, TASKS, Task, presets_of

COMMANDS: Final = {task.name: task for task in TASKS}
CHAT: Final = "chat"
# Flags that are settings of the app too; their variables (PHI3V_MODEL, ...) are read here as well.
SHARED_FLAGS: Final = (
    *("model", "adapter", "device", "dtype", "attention", "quantize", "server"),
    "max_new_tokens",
)

EPILOG: Final = """\
On a terminal answers stream as text; into a pipe each page is one line of JSON (--plain and --json
choose otherwise). With --output each line is safe on the disk before the next page begins, and the
same command goes on where it was interrupted. Exit codes: 0 all pages read, 1 some not, 2 the
request cannot be used, 130 interrupted.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="phi3v",
        description="Phi-3-Vision on the command line: describe pictures and PDFs, read their "
        "text, compare them, talk about them; `phi3v serve` serves the page.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for task in TASKS:
        command = commands.add_parser(
            task.name,
            help=task.hint,
            description=task.hint,
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_sources(command, "+")
        add_task_flags(command, task)
        add_request_flags(command)
        add_output_flags(command)
    chat = commands.add_parser(
        CHAT, help="Talk about pictures.", description="Talk about pictures; /help tells more."
    )
    add_sources(chat, "*")
    add_request_flags(chat)
    # For the list of commands only: phi3v.__main__ starts the page before this parser is built.
    commands.add_parser("serve", help="Serve the page; `phi3v serve --help` lists its flags.")
    return parser


def add_sources(parser: argparse.ArgumentParser, count: str) -> None:
    """Add the arguments that select files and pages; count is argparse's nargs."""
    parser.add_argument(
        "sources",
        nargs=count,
        metavar="FILE",
        help="a picture, a PDF, a video, a folder of them, a URL",
    )
    parser.add_argument(
        "--pages", default="", metavar="RANGE", help="pages of the PDFs and TIFFs, like 1-3,7 or 5-"
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=DEFAULT_FRAMES,
        metavar="N",
        help=f"most frames taken of a video or an animation, evenly spread ({DEFAULT_FRAMES})",
    )


def add_task_flags(parser: argparse.ArgumentParser, task: Task) -> None:
    """Add the flags that depend on the task."""
    parser.add_argument("--question", default="", help="ask this instead of the command's own")
    parser.add_argument(
        "--confidence",
        nargs="?",
        type=parse_probability,
        const=0.5,
        metavar="THRESHOLD",
        help="name the words less probable than this, 0 to 1 (0.5)",
    )
    if task is OCR:
        parser.add_argument(
            "--format",
            choices=FORMATS,
            default=FORMATS[0],
            help="what the answer is brought to: json for names and values, csv for tables",
        )
    elif task is DESCRIBE:
        names = [preset.name for preset in presets_of(DESCRIBE)]
        parser.add_argument("--preset", choices=names, default=names[0], help="what to ask")
    elif task is COMPARE:
        parser.add_argument(
            "--no-pixels",
            action="store_true",
            help="ask the model only; do not compare the pixels too",
        )


def add_request_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that choose the model and the sampling."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", help="auto, embedded, a folder, or an id on Hugging Face")
    group.add_argument("--adapter", help="a PEFT adapter on top: a folder, or an id")
    group.add_argument("--device", help="auto, cpu, cuda, cuda:1, mps")
    group.add_argument("--dtype", help="auto, bfloat16, float16, float32")
    group.add_argument("--attention", help="auto, flash_attention_2, sdpa, eager")
    group.add_argument("--quantize", help="none, 8bit, 4bit")
    group.add_argument(
        "--server", metavar="URL[,URL...]", help="servers that answer instead of this process"
    )
    group = parser.add_argument_group("answer")
    group.add_argument(
        "--detail", choices=tuple(DETAILS), default="auto", help="how closely to look (auto)"
    )
    group.add_argument("--max-new-tokens", type=int, metavar="N", help="longest answer, in tokens")
    group.add_argument("--temperature", type=float, default=0.0, help="0 takes the likeliest words")
    group.add_argument("--top-p", type=float, default=1.0, help="keep only the likeliest words")
    group.add_argument("--seed", type=int, help="the same seed gives the same answer")


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the destination and format of results."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output",
        metavar="FILE.jsonl",
        help="append each page's line to this file, and skip pages that it has already",
    )
    shape = group.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="lines of JSON, also on a terminal")
    shape.add_argument("--plain", action="store_true", help="plain text, also into a pipe")
    group.add_argument("--quiet", action="store_true", help="no progress on standard error")


def parse_probability(text: str) -> float:
    """Return a number from 0 to 1. Raises ArgumentTypeError for other text."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; give a number from 0 to 1")
    return value
