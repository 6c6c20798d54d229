"""Entry point of the command line: parses arguments, loads the engine, runs a batch or a chat.

Turns every RequestError into a message and an exit code. Must not know the app's page.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from phi3v.cli.arguments import CHAT, COMMANDS, SHARED_FLAGS, build_parser
from phi3v.conversation.engine_protocol import GenerationError
from phi3v.request import RequestError, Sampling
from phi3v.tasks import DESCRIBE, DETAILS, OCR, Preset, Task, find_preset

if TYPE_CHECKING:
    from phi3v.cli.jobs import Plan
    from phi3v.cli.printing import Printer
    from phi3v.conversation.engine_protocol import StreamingEngine
    from phi3v.settings import Settings

DONE, SOME_FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code (see EPILOG in arguments.py)."""
    flags = build_parser().parse_args(arguments)
    try:
        if flags.command == CHAT:
            return run_chat(flags)
        return run_task(flags, COMMANDS[flags.command])
    except RequestError as error:
        print(f"phi3v: {error}", file=sys.stderr)
        return UNUSABLE
    except GenerationError as error:
        print(f"phi3v: {error}", file=sys.stderr)
        return SOME_FAILED
    except KeyboardInterrupt:
        again = " Run the same command to go on." if getattr(flags, "output", None) else ""
        print(f"\nphi3v: interrupted.{again}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def run_task(flags: Namespace, task: Task) -> int:
    """Run a task over its pages; unreadable files are reported before the model is loaded.

    Returns the exit code. Raises RequestError for flags, files or a model that cannot be used.
    """
    from phi3v.cli.batch import require_jobs, run_batch
    from phi3v.cli.printing import note

    flags.writes_json = flags.json or not (flags.plain or sys.stdout.isatty())
    settings = read_flags(flags)
    sampling = read_sampling(flags, settings)
    found = require_jobs(task, flags.sources, flags.pages, flags.frames)
    engine, revision = open_engine(settings)
    preset = choose_preset(flags, task)
    weights = f"{engine.dtype} {engine.quantize}"
    if settings.adapters:
        weights += f" {find_adapter_revision(settings.adapters[0])}"
    plan = make_plan(flags, preset, sampling, engine, revision, weights)
    tally = run_batch(flags, task, plan, engine, found, choose_printer(flags, plan, found[0]))
    if tally.skipped and not flags.quiet:
        note(f"{tally.skipped} of {tally.total} were in {flags.output} already.")
    if tally.failed:
        note(f"phi3v: {tally.failed} of {tally.total} could not be read.")
        return SOME_FAILED
    return DONE


def run_chat(flags: Namespace) -> int:
    """Chat about the named files and return the exit code. Raises RequestError as run_task does."""
    from phi3v.cli.chat import chat
    from phi3v.cli.printing import note
    from phi3v.documents.pages import Problem, find_pages

    settings = read_flags(flags)
    sampling = read_sampling(flags, settings)
    images = []
    for page in find_pages(flags.sources, flags.pages, frames=flags.frames):
        if not isinstance(page, Problem):
            images.append(page.open())
        elif page.is_left_out:
            note(f"phi3v: {page.message}")
        else:
            raise RequestError(page.message)
    engine, revision = open_engine(settings)
    chat(engine, images, sampling, DETAILS[flags.detail], revision)
    return DONE


def read_flags(flags: Namespace) -> "Settings":
    """Return the app's settings from flags and environment. Raises RequestError for bad values."""
    from pydantic import ValidationError

    from phi3v.settings import Settings, describe_problem

    given = {name: value for name in SHARED_FLAGS if (value := getattr(flags, name)) is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = [
            describe_problem(str(problem["loc"][0]), problem["msg"], problem["input"])
            for problem in error.errors()
        ]
        raise RequestError("\n".join(["the settings cannot be used.", *problems])) from error


def read_sampling(flags: Namespace, settings: "Settings") -> Sampling:
    """Return the sampling parameters. Raises RequestError for values out of range."""
    return Sampling(settings.max_new_tokens, flags.temperature, flags.top_p, flags.seed)


def open_engine(settings: "Settings") -> tuple["StreamingEngine", str]:
    """Return the engine and its checkpoint's revision. Raises RequestError if it cannot answer."""
    if settings.servers:
        from phi3v.inference.connecting import connect

        remote = connect(settings)
        remote.wait_until_asked()
        if remote.status.state != "ready":
            raise RequestError(remote.status.problem or "No server answers.")
        return remote, remote.revision
    from transformers.utils import logging

    from phi3v.cli.printing import note
    from phi3v.inference import load
    from phi3v.inference.checkpoint import choose_weights
    from phi3v.inference.checkpoint_files import find_checkpoint, find_revision
    from phi3v.inference.model_offer import find_offer

    logging.disable_progress_bar()
    name, quantize = choose_weights(settings.models[0], settings.device, settings.quantize)
    if offer := find_offer(settings.models[0], settings.device):
        note(f"phi3v: the embedded model answers. {offer}")
    choices = (settings.device, settings.dtype, settings.attention)
    engine = load(name, *choices, settings.reuse_bytes, quantize, adapters=settings.adapters[:1])
    return engine, find_revision(find_checkpoint(name))


def find_adapter_revision(given: str) -> str:
    """Return the revision of the adapter that an --adapter flag names."""
    from phi3v.inference.adapter_files import find_adapter, name_adapters
    from phi3v.inference.checkpoint_files import find_revision

    (place,) = name_adapters((given,))
    return find_revision(find_adapter(place.place))


def choose_preset(flags: Namespace, task: Task) -> Preset:
    """Return the preset of the task that the flags name, or its default."""
    if task is OCR:
        return find_preset(OCR, flags.format)
    return find_preset(task, flags.preset if task is DESCRIBE else "")


def make_plan(
    flags: Namespace,
    preset: Preset,
    sampling: Sampling,
    engine: "StreamingEngine",
    revision: str,
    weights: str,
) -> "Plan":
    """Return the parameters of all requests of this run."""
    from phi3v.cli.jobs import Plan

    return Plan(
        command=flags.command,
        question=flags.question.strip() or preset.wording(engine.is_embedded),
        output_format=preset.output_format,
        num_crops=DETAILS[flags.detail],
        sampling=sampling,
        threshold=flags.confidence,
        model=engine.name,
        revision=revision,
        weights=weights,
    )


def choose_printer(flags: Namespace, plan: "Plan", jobs: list) -> "Printer":
    """Return the printer for standard output: silent with --output, else JSON or text."""
    from phi3v.cli.printing import JsonPrinter, SilentPrinter, TextPrinter

    if flags.output:
        return SilentPrinter()
    if flags.writes_json:
        return JsonPrinter()
    return TextPrinter(len(jobs) > 1, plan.output_format in ("text", "markdown"))
