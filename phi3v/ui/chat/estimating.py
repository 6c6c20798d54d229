"""Estimates a request before it is sent: as plain values for the API, as text for the page.

The numbers come from phi3v.conversation.estimate; this module only shows them.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import gradio as gr
from PIL import Image, ImageDraw

from phi3v.conversation.engine_protocol import SizedEngine, StreamingEngine
from phi3v.conversation.estimate import (
    Estimate,
    PictureEstimate,
    estimate_details,
    estimate_request,
)
from phi3v.documents.images import open_image
from phi3v.model.crops import CROP_SIZE, fit_within_crops
from phi3v.request import Request, RequestError, Sampling, Turn
from phi3v.tasks import Task
from phi3v.translatable import Text
from phi3v.ui import words
from phi3v.ui.chat.conversation import Chat, keep_shown, pick_new, pictures_of
from phi3v.ui.chat.layout import Tab
from phi3v.ui.i18n.languages import translate
from phi3v.ui.markdown import disarm
from phi3v.ui.wiring import UNQUEUED, Shown, choose_crops, files_of

MOST_CROPS = 16  # of one picture, on a GPU
# Longer side, in pixels, of the copy on which crops are drawn.
THUMBNAIL = 480
# A dark line with light edges is visible on any image.
LINES = (("white", 4), ("black", 2))


def describe_estimates(
    engine: SizedEngine | None, images: Sequence[str], question: str, sampling: Sampling
) -> dict[str, dict[str, Any]]:
    """Return the estimate at each level of detail as JSON values.

    Raises RequestError while the engine is loading, and for images that cannot be opened.
    """
    if engine is None:
        raise RequestError(words.NO_ESTIMATE)
    request = Request((Turn("user", question, tuple(images)),), sampling)
    return {
        name: asdict(estimate) | {"room": estimate.room}
        for name, estimate in estimate_details(request, engine).items()
    }


def connect_estimate(engine: StreamingEngine, task: Task, tab: Tab) -> None:
    """Update the estimate below the images on every change of its inputs."""
    max_new_tokens, *_, num_crops = tab.sampling
    # Gradio removes a validator's message below a box with the first response to any event that has
    # the box among its inputs, and a click on Ask is a blur too. So the question is read from a
    # copy, which the browser makes without the server.
    left = tab.question.blur(None, tab.question, tab.typed, js="(text) => text", **UNQUEUED)
    inputs = [tab.chat, tab.pictures, tab.typed, max_new_tokens, num_crops, tab.shows_crops]
    outputs = [tab.estimate, tab.shows_crops, tab.crops]
    show = partial(show_estimate, engine, task)
    changes = [
        component.change
        for component in (tab.pictures, tab.chat, max_new_tokens, num_crops, tab.shows_crops)
    ]
    for listen in (partial(gr.on, changes), left.then):
        listen(show, inputs, outputs, **UNQUEUED)


def show_estimate(
    engine: StreamingEngine,
    task: Task,
    chat: Chat,
    shown: Shown,
    question: str,
    max_new_tokens: int,
    num_crops: str,
    shows_crops: bool,
) -> tuple[Any, ...]:
    """Return the estimate's text, the checkbox for the crops, and the crops if it is checked."""
    known = engine.sized
    if known is None or not shown:
        return "", gr.Checkbox(visible=False), gr.Gallery(visible=False)
    try:
        request = preview_request(task, chat, files_of(shown), question, max_new_tokens, num_crops)
        estimate = estimate_request(request, known)
    except RequestError as error:
        text = disarm(translate(words.does_not_fit(error.text)))
        return text, gr.Checkbox(visible=True), gr.Gallery(visible=False)
    crops = gr.Gallery(visible=False)
    if shows_crops:
        pictures = pictures_of(request.turns)
        drawn = [
            (
                draw_crops(open_image(picture), estimate.num_crops),
                translate(words.picture_name(number)),
            )
            for number, picture in enumerate(pictures, 1)
        ]
        crops = gr.Gallery(drawn, visible=True)
    text = describe_estimate(estimate)
    if choose_crops(num_crops) is None and (limit := find_crop_limit(engine, known)):
        text = f"{text} {translate(Text(words.CPU_CROPS, count=limit))}"
    return text, gr.Checkbox(visible=True), crops


def find_crop_limit(engine: StreamingEngine, known: SizedEngine) -> int | None:
    """Return the most crops that "auto" takes of one picture where a CPU is why; None elsewhere."""
    if engine.is_embedded or str(engine.device) != "cpu":
        return None
    most = int(known.processor.image_processor.auto_num_crops[0])
    return most if most < MOST_CROPS else None


def preview_request(
    task: Task, chat: Chat, files: list[str], question: str, max_new_tokens: int, num_crops: str
) -> Request:
    """Return the request that the next question would send; the current one during an answer."""
    turns = keep_shown(chat.turns, files)
    if not chat.ticket:
        new = Turn("user", question.strip() or task.default_prompt, pick_new(turns, files))
        turns = (*turns, new)
    return Request(turns, Sampling(int(max_new_tokens)), choose_crops(num_crops))


def describe_estimate(estimate: Estimate) -> str:
    """Return an estimate as text: a line for each image, one for the total, and any problem."""
    lines = [describe_picture(*pair) for pair in enumerate(estimate.pictures, 1)]
    room, context = max(0, estimate.room), estimate.context_length
    first, most = estimate.first_token_seconds, estimate.most_seconds
    seconds = None if first is None or most is None else (first, most)
    whole = words.request_takes(
        estimate.prompt_tokens, estimate.max_new_tokens, room, context, seconds
    )
    problem = [words.does_not_fit(estimate.problem)] if estimate.problem else []
    memory = Text(words.MEMORY_TAKES, megabytes=round(estimate.cache_bytes / 1e6) or 1)
    figures = f"{translate(whole)} {translate(memory)}"
    return "\n\n".join(["  \n".join(lines), figures, *map(translate, problem)])


def describe_picture(number: int, picture: PictureEstimate) -> str:
    """Return the line for one image: its pixels, crops and tokens."""
    size, grid = (picture.width, picture.height), (picture.rows, picture.columns)
    return translate(words.picture_takes(number, size, grid, picture.tokens))


def draw_crops(image: Image.Image, num_crops: int) -> Image.Image:
    """Return a small copy of an image with the edges of its crops drawn on it.

    Crops are cut from the image after it was resized to fit them and centred on white along its
    shorter side; so the first and last may extend over its edges.
    """
    fitted = fit_within_crops(*image.size, num_crops)
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    draw = ImageDraw.Draw(small)
    for axis in (0, 1):
        scale = small.size[axis] / fitted[axis]
        padding = -fitted[axis] % CROP_SIZE // 2
        for edge in range(CROP_SIZE, fitted[axis] + padding, CROP_SIZE):
            at = round((edge - padding) * scale)
            line = [(at, 0), (at, small.height)] if axis == 0 else [(0, at), (small.width, at)]
            for colour, width in LINES:
                draw.line(line, colour, width=width)
    return small
