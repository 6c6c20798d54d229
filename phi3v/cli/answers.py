"""Answers one job: builds the request, streams its text and returns the record of the result.

Must not know the parsed flags or the results file.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import Any

from PIL import Image

from phi3v.cli.jobs import Job, Plan
from phi3v.cli.printing import phase_line
from phi3v.conversation.confidence import uncertain_words
from phi3v.conversation.engine_protocol import StreamingEngine
from phi3v.conversation.estimate import count_fitting
from phi3v.conversation.repetition import cut_repetition
from phi3v.documents.pages import Page
from phi3v.documents.resolution import spread_evenly
from phi3v.request import Chunk, Request, Turn
from phi3v.results.cleaning import clean_answer
from phi3v.results.formats import format_answer
from phi3v.tasks import OCR, Task, build_request

Show = Callable[[str], None]

NOTES = {
    "length": "The answer was cut at max_new_tokens: allow more with --max-new-tokens.",
    "loop": "The model repeated itself and was stopped; the repetition is left out.",
    "interrupted": "The server broke off before the end of the answer: run it again.",
}


def answer_job(
    job: Job, task: Task, plan: Plan, engine: StreamingEngine, compares_pixels: bool, show: Show
) -> dict[str, Any]:
    """Answer a job and return its record; `show` is called with the text so far as it grows.

    With compares_pixels the record has the pixel differences of consecutive images. Raises
    RequestError if a page cannot be read or the request cannot be answered.
    """
    pages = fit_frames(job.pages, engine, plan)
    images = [page.open() for page in pages]
    request = build_request(task, (), images, plan.question, plan.sampling, plan.num_crops)
    request = replace(request, wants_probabilities=plan.threshold is not None)
    text, last = write_answer(engine, request, task, show)
    record = {**replace(job, pages=pages).describe(), **format_record(text, last, task, plan)}
    if len(pages) == 1 and (layer := pages[0].read_text()):
        record["text_layer"] = layer
    blanks = (page.explain_blank(image) for page, image in zip(pages, images, strict=True))
    if blank := " ".join(filter(None, blanks)):
        record["blank"] = blank
    if compares_pixels:
        record["differences"] = [
            compare_pixels(number, *pair) for number, pair in enumerate(pairwise(images), 1)
        ]
    return record


def fit_frames(pages: tuple[Page, ...], engine: StreamingEngine, plan: Plan) -> tuple[Page, ...]:
    """Return the pages, of a video as many frames as the engine's context holds, evenly spread."""
    sized = engine.sized
    if sized is None or len(pages) < 2 or any(page.time is None for page in pages):
        return pages
    question = Request((Turn("user", plan.question),), plan.sampling, plan.num_crops)
    count = count_fitting(question, pages[0].open().size, len(pages), sized)
    return tuple(pages[index] for index in spread_evenly(len(pages), count))


def write_answer(
    engine: StreamingEngine, request: Request, task: Task, show: Show
) -> tuple[str, Chunk]:
    """Stream an answer; return its whole text and its last chunk."""
    text, last = "", Chunk("")
    with phase_line() as show_phase, closing(engine.stream(request)) as chunks:
        for last in chunks:
            show_phase(last)
            text += last.text
            if last.text:
                show(clean_answer(text, is_whole=False) if task is OCR else text)
    return text, last


def format_record(text: str, last: Chunk, task: Task, plan: Plan) -> dict[str, Any]:
    """Return an answer's record: its formatted text, figures, note and uncertain words."""
    statistics = last.statistics
    assert statistics is not None, "a stream ends with its statistics"
    if statistics.finish_reason == "loop":
        text = cut_repetition(text)
    record: dict[str, Any] = {"text": text.strip(), "format": plan.output_format}
    if task is OCR:
        formatted = format_answer(text, plan.output_format)
        record = {"text": formatted.text, "format": plan.output_format}
        if formatted.problem:
            record["problem"] = formatted.problem
    record["finish_reason"] = statistics.finish_reason
    if statistics.finish_reason in NOTES:
        record["note"] = NOTES[statistics.finish_reason]
    if plan.threshold is not None:
        record["uncertain"] = find_uncertain(text, record["text"], last, plan.threshold)
    record |= {"prompt_tokens": statistics.prompt_tokens, "new_tokens": statistics.new_tokens}
    return record | {"model": plan.model, "revision": plan.revision}


def find_uncertain(text: str, shown: str, last: Chunk, threshold: float) -> list[dict[str, Any]]:
    """Return the words below the threshold with their offsets in the shown part of an answer.

    start is None if the answer was converted, as to JSON, so that `shown` is no part of `text`.
    """
    before = text.find(shown)
    end = before + len(shown) if before >= 0 else len(text)
    return [
        {
            "word": word.text,
            "start": word.start - before if before >= 0 else None,
            "probability": round(word.probability, 4),
        }
        for word in uncertain_words(last.tokens, threshold)
        if word.start >= before and word.end <= end
    ]


def compare_pixels(number: int, first: Image.Image, second: Image.Image) -> dict[str, Any]:
    """Return the pixel differences of image `number` and the next; boxes in pixels of the first."""
    from phi3v.comparison.difference import compare_pictures

    found = compare_pictures(first, second)
    scale = first.width / found.first.width
    notes: dict[str, Any] = {}
    if found.turn != "none":
        notes["turn"] = found.turn
    if found.brightening:
        notes["brightening"] = round(found.brightening, 4)
    return {
        "pictures": [number, number + 1],
        "verdict": found.verdict,
        **notes,
        "similarity": round(found.similarity, 4),
        "regions": [
            {"number": region.number, "box": [round(side * scale) for side in region.box]}
            for region in found.regions
        ],
    }
