"""The API endpoints /describe, /ocr, /compare, /chat and /estimate; names and types are stable.

Knows tasks and requests; knows nothing of the page's tabs.
"""

from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import gradio as gr

from phi3v.conversation.engine_protocol import StreamingEngine
from phi3v.conversation.estimate import count_fitting
from phi3v.documents.resolution import DEFAULT_FRAMES
from phi3v.documents.sources import open_sources
from phi3v.request import ImageSource, Request, RequestError, Sampling, Turn
from phi3v.results.cleaning import clean_answer
from phi3v.results.formats import FORMATS, OutputFormat, format_answer
from phi3v.settings import Settings
from phi3v.tasks import (
    OCR,
    TASKS,
    Task,
    build_request,
    find_preset,
    ready_names,
    word_question,
)
from phi3v.ui.answering import Stream, follow_answer, write_answer
from phi3v.ui.api.mcp_tools import AGENTS_QUEUE, hide_from_agents, make_tool
from phi3v.ui.api.turns import read_turns
from phi3v.ui.chat.estimating import describe_estimates
from phi3v.ui.notices import refusal, warn
from phi3v.ui.wiring import engine_queue

Answering = Callable[..., Generator[str, None, None]]
AnyEngine = StreamingEngine


def add_endpoints(engine: AnyEngine, stream: Stream, settings: Settings) -> None:
    """Add all endpoints to the page; hidden components give their parameters names and types."""
    for task in TASKS:
        if task is OCR:
            formats = gr.Dropdown(list(FORMATS), value="text", label="output_format", visible=False)
            endpoint = make_ocr_endpoint(engine, stream, settings)
            add_answering("ocr", endpoint, settings, formats)
        else:
            endpoint = make_endpoint(task, engine, stream, settings)
            add_answering(task.name, endpoint, settings)
        if settings.mcp:
            tool = make_tool(task, endpoint, settings)
            gr.api(tool, api_name=f"{task.name}_by_address", **AGENTS_QUEUE)
    add_chat(stream, settings)
    images, prompt, max_new_tokens = make_inputs(settings)
    gr.Button(visible=False).click(
        hide_from_agents(make_estimate_endpoint(engine, settings)),
        [images, prompt, max_new_tokens],
        gr.JSON(label="estimate", visible=False),
        api_name="estimate",
    )


def make_inputs(settings: Settings) -> tuple[gr.File, gr.Textbox, gr.Number]:
    """Return hidden components for images, prompt and max_new_tokens."""
    return (
        gr.File(label="images", file_count="multiple", type="filepath", visible=False),
        gr.Textbox("", label="prompt", visible=False),
        make_max_new_tokens(settings),
    )


def make_max_new_tokens(settings: Settings) -> gr.Number:
    """Return a hidden component for max_new_tokens."""
    return gr.Number(
        settings.max_new_tokens, label="max_new_tokens", precision=0, minimum=1, visible=False
    )


def make_frames() -> gr.Number:
    """Return a hidden component for frames."""
    return gr.Number(DEFAULT_FRAMES, label="frames", precision=0, minimum=1, visible=False)


def add_answering(
    name: str, endpoint: Answering, settings: Settings, *more: gr.components.Component
) -> None:
    """Add the endpoint of one task."""
    gr.Button(visible=False).click(
        hide_from_agents(endpoint),
        [*make_inputs(settings), *more, make_frames()],
        gr.Textbox(label="answer", visible=False),
        api_name=name,
        **engine_queue(settings),
    )


def add_chat(stream: Stream, settings: Settings) -> None:
    """Add /chat, which takes a whole conversation."""
    gr.Button(visible=False).click(
        hide_from_agents(make_chat_endpoint(stream, settings)),
        [
            gr.JSON(label="turns", visible=False),
            gr.File(label="images", file_count="multiple", type="filepath", visible=False),
            make_max_new_tokens(settings),
            gr.Number(0.0, label="temperature", visible=False),
            gr.Number(1.0, label="top_p", visible=False),
            gr.Number(-1, label="seed", precision=0, visible=False),
        ],
        gr.Textbox(label="answer", visible=False),
        api_name="chat",
        **engine_queue(settings),
    )


def choose_crops(settings: Settings) -> int | None:
    """Return num_crops for all calls, as configured at the app's start; None for "auto"."""
    return None if settings.num_crops == "auto" else settings.num_crops


def open_files(
    engine: AnyEngine,
    files: list[str] | None,
    prompt: str | None,
    max_new_tokens: int,
    frames: int,
    settings: Settings,
) -> tuple[ImageSource, ...]:
    """Return the images of the files sent, of a video no more frames than the context holds."""
    question = Request(
        (Turn("user", prompt or ""),), Sampling(max_new_tokens), choose_crops(settings)
    )
    sized = engine.sized
    fit = None if sized is None else partial(count_fitting, question, engine=sized)
    return open_sources(files or [], frames, fit)


@contextmanager
def convert_request_errors() -> Generator[None, None, None]:
    """Re-raise a RequestError as the gr.Error that shows its message to the client."""
    try:
        yield
    except RequestError as error:
        raise refusal(error.text) from error


def make_endpoint(task: Task, engine: AnyEngine, stream: Stream, settings: Settings) -> Answering:
    """Return a task's endpoint function; its signature and docstring are the API documentation."""

    def endpoint(
        images: list[str] | None,
        prompt: str = "",
        max_new_tokens: int = settings.max_new_tokens,
        frames: int = DEFAULT_FRAMES,
    ) -> Generator[str, None, None]:
        with convert_request_errors():
            request = build_request(
                task,
                (),
                open_files(engine, images, prompt, max_new_tokens, frames, settings),
                word_question(task, prompt or "", engine.is_embedded),
                Sampling(max_new_tokens),
                choose_crops(settings),
            )
        with closing(write_answer(stream, request)) as pieces:
            for text, _ in pieces:
                yield text

    least = "two or more" if task.least_images > 1 else "one or more"
    endpoint.__doc__ = f"""{task.hint}

    Args:
        images: {least} pictures, numbered from 1 in this order; files of pictures, of PDFs and
            TIFFs, whose pages are all taken, and of videos and animations
        prompt: the question, or the name of a ready one ({ready_names(task)}); empty asks
            "{task.default_prompt}"
        max_new_tokens: longest answer, in tokens
        frames: most frames taken of each video or animation, evenly spread

    Returns:
        the answer so far, growing until it is complete
    """
    return endpoint


def make_ocr_endpoint(engine: AnyEngine, stream: Stream, settings: Settings) -> Answering:
    """Return the function of /ocr: the text of pictures in a format, without comments."""

    def ocr(
        images: list[str] | None,
        prompt: str = "",
        max_new_tokens: int = settings.max_new_tokens,
        output_format: OutputFormat = "text",
        frames: int = DEFAULT_FRAMES,
    ) -> Generator[str, None, None]:
        # "text" uses the task's default prompt; each other format has a preset with its own.
        if not (prompt or "").strip() and output_format != "text":
            prompt = find_preset(OCR, output_format).wording(engine.is_embedded)
        with convert_request_errors():
            request = build_request(
                OCR,
                (),
                open_files(engine, images, prompt, max_new_tokens, frames, settings),
                prompt or "",
                Sampling(max_new_tokens),
                choose_crops(settings),
            )
        with closing(follow_answer(stream, request)) as steps:
            for step in steps:
                if step.finish_reason is None:
                    yield clean_answer(step.text, is_whole=False)
                else:
                    formatted = format_answer(step.text, output_format)
                    if formatted.problem:
                        warn(formatted.problem)
                    yield formatted.text

    ocr.__doc__ = f"""Read the text printed in pictures, without comments around it.

    Args:
        images: one or more pictures, numbered from 1 in this order; files of pictures, of PDFs and
            TIFFs, whose pages are all taken, and of videos and animations
        prompt: the question; empty asks for the text in the output format
        max_new_tokens: longest answer, in tokens
        output_format: one of {", ".join(FORMATS)}: plain text, Markdown (tables as tables), one
            JSON object of names and values, or CSV (a table's cells)
        frames: most frames taken of each video or animation, evenly spread

    Returns:
        the text so far, growing until it is complete, and then converted to the format; an answer
        that does not fit the format is returned as it is, and empty if the model read no text;
        what does not fit, such as rows of another length, is told in a warning
    """
    return ocr


def make_chat_endpoint(stream: Stream, settings: Settings) -> Answering:
    """Return the function of /chat: a conversation of several turns."""

    def chat(
        turns: list[dict[str, Any]],
        images: list[str] | None = None,
        max_new_tokens: int = settings.max_new_tokens,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = -1,
    ) -> Generator[str, None, None]:
        """Answer the last turn of a conversation about pictures.

        Args:
            turns: the conversation, a list like [{"role": "user", "text": "What is this?",
                "images": [1]}, {"role": "assistant", "text": "A circle."}, {"role": "user",
                "text": "Which colour?"}]. role is user, assistant or system; images, on user turns
                only, lists pictures by their numbers. If the last turn is an assistant's, that
                answer is continued.
            images: the picture files, numbered from 1; the turns list each once, in this order
            max_new_tokens: longest answer, in tokens
            temperature: 0 takes the likeliest words, up to 2 varies them
            top_p: the likeliest words that add up to this share are kept; 1 keeps all
            seed: equal seeds give equal answers; -1 takes another one each time

        Returns:
            the answer so far, growing until it is complete; of a continued one, only the new text
        """
        with convert_request_errors():
            conversation = read_turns(turns, images or [])
            sampling = Sampling(max_new_tokens, temperature, top_p, None if seed < 0 else seed)
        is_continued = conversation[-1].role == "assistant"
        request = Request(conversation, sampling, choose_crops(settings), is_continued)
        with closing(write_answer(stream, request)) as pieces:
            for text, _ in pieces:
                yield text

    return chat


def make_estimate_endpoint(
    engine: AnyEngine, settings: Settings
) -> Callable[..., dict[str, dict[str, Any]]]:
    """Return the function of /estimate: tokens, memory and time of a request."""

    def estimate(
        images: list[str] | None, prompt: str = "", max_new_tokens: int = settings.max_new_tokens
    ) -> dict[str, dict[str, Any]]:
        """Estimate a question's tokens, memory and time at each level of detail, without answering.

        Args:
            images: picture files, in the order in which they would be sent
            prompt: the question; its tokens are counted too
            max_new_tokens: longest answer, in tokens

        Returns:
            for fast, balanced, fine and auto: num_crops, the pictures (size in pixels, rows and
            columns of crops, tokens), prompt_tokens, image_tokens, max_new_tokens, context_length,
            room (tokens left free; below 0 it does not fit), cache_bytes, first_token_seconds and
            most_seconds (null until the model has answered something), and problem (what to change
            if it does not fit, else null)
        """
        with convert_request_errors():
            return describe_estimates(
                engine.sized, images or [], prompt or "", Sampling(max_new_tokens)
            )

    return estimate
