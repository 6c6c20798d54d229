"""What programs call: /describe, /ocr and /compare, named, typed, and the same for good."""

from collections.abc import Callable, Generator
from contextlib import closing

import gradio as gr

from phi3v.request import RequestError, Sampling
from phi3v.settings import Settings
from phi3v.tasks import Task, build_request
from phi3v.ui.answering import Stream, write_answer
from phi3v.ui.events import ENGINE_QUEUE

Answering = Callable[[list[str] | None, str, int], Generator[str, None, None]]


def add_endpoint(task: Task, stream: Stream, settings: Settings) -> None:
    """Add a task's endpoint to the page; hidden components give it its names and types."""
    images = gr.File(label="images", file_count="multiple", type="filepath", visible=False)
    prompt = gr.Textbox("", label="prompt", visible=False)
    max_new_tokens = gr.Number(
        settings.max_new_tokens, label="max_new_tokens", precision=0, minimum=1, visible=False
    )
    answer = gr.Textbox(label="answer", visible=False)
    gr.Button(visible=False).click(
        make_endpoint(task, stream, settings),
        [images, prompt, max_new_tokens],
        answer,
        api_name=task.name,
        **ENGINE_QUEUE,
    )


def make_endpoint(task: Task, stream: Stream, settings: Settings) -> Answering:
    """Build the function behind an endpoint; its signature and docstring are its documentation."""
    num_crops = None if settings.num_crops == "auto" else settings.num_crops

    def endpoint(
        images: list[str] | None, prompt: str = "", max_new_tokens: int = settings.max_new_tokens
    ) -> Generator[str, None, None]:
        try:
            request = build_request(
                task, (), images or [], prompt or "", Sampling(max_new_tokens), num_crops
            )
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from error
        with closing(write_answer(stream, request)) as pieces:
            for text, _ in pieces:
                yield text

    least = "two or more" if task.least_images > 1 else "one or more"
    endpoint.__doc__ = f"""{task.hint}

    Args:
        images: {least} picture files, numbered from 1 in this order
        prompt: the question; empty asks "{task.default_prompt}"
        max_new_tokens: longest answer, in tokens

    Returns:
        the answer so far, growing until it is whole
    """
    return endpoint
