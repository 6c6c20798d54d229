"""Compares two images of the Compare tab beside the chat: slider, map of changes, verdict as text.

The differences are measured in pixels, not by the model, whenever the images change; comparisons
and answers never wait for each other.
"""

import logging
from dataclasses import dataclass
from typing import Any

import gradio as gr

from phi3v.comparison.difference import compare_pictures, draw_map
from phi3v.documents.images import open_image
from phi3v.request import RequestError
from phi3v.translatable import Text
from phi3v.ui import words
from phi3v.ui.chat.conversation import to_gallery
from phi3v.ui.compare import words as compare_words
from phi3v.ui.i18n.languages import translate
from phi3v.ui.wiring import Shown, files_of

logger = logging.getLogger(__name__)

# Two comparisons run at a time for all users: each takes about a second of a core, and memory for
# two images.
COMPARISON_QUEUE: dict[str, Any] = {
    "concurrency_id": "comparing",
    "concurrency_limit": 2,
    "trigger_mode": "always_last",
    "api_visibility": "private",
}


@dataclass(frozen=True)
class CompareView:
    """The components of the view; the menus that choose a pair are visible from three images on.

    compared is session state: the images and pair of the last comparison.
    """

    compared: gr.State
    first: gr.Dropdown
    second: gr.Dropdown
    verdict: gr.Markdown
    slider: gr.ImageSlider
    changes: gr.Image

    @property
    def outputs(self) -> list[gr.Component]:
        """The components that a comparison updates."""
        return [self.compared, self.first, self.second, self.verdict, self.slider, self.changes]


def lay_out_comparison() -> CompareView:
    """Create the view, empty."""
    with gr.Row():
        first, second = (
            gr.Dropdown([], label=label, visible=False, min_width=100, filterable=False)
            for label in (compare_words.FIRST, compare_words.SECOND)
        )
    verdict = gr.Markdown(compare_words.EMPTY, elem_classes="verdict", min_height=48)
    slider = gr.ImageSlider(
        label=compare_words.SLIDER,
        interactive=False,
        format="png",  # lossless: shows the pixels that were measured
        type="filepath",
        height=300,
        max_height=272,  # leaves space for the label above
        buttons=["fullscreen"],
        elem_classes="slider",
    )
    changes = gr.Image(
        label=compare_words.CHANGES,
        alt_text=compare_words.CHANGES,  # the accessible name of the button around the image
        interactive=False,
        format="png",
        height=300,
        buttons=["fullscreen", "download"],
        elem_classes="changes",
    )
    return CompareView(gr.State(()), first, second, verdict, slider, changes)


def connect_comparison(view: CompareView, pictures: gr.Gallery) -> None:
    """Compare when another pair is chosen; compare_after handles changes of the images."""
    for chosen in (view.first, view.second):
        compare_on(chosen.input, view, pictures)


def compare_after(event: Any, view: CompareView, pictures: gr.Gallery) -> None:
    """Compare after an event that changes the images."""
    compare_on(event.then, view, pictures)


def compare_on(listen: Any, view: CompareView, pictures: gr.Gallery) -> None:
    """Attach the comparison to an event listener."""
    listen(
        compare_shown,
        [view.compared, pictures, view.first, view.second],
        view.outputs,
        show_progress="minimal",
        show_progress_on=[view.changes],
        **COMPARISON_QUEUE,
    )


def compare_shown(
    compared: tuple[object, ...], shown: Shown, first: int | None, second: int | None
) -> tuple[Any, ...]:
    """Return CompareView.outputs for two of the images shown: the chosen ones or the first two.

    All are skipped if that pair was compared last, or if the images are yet to be checked.
    """
    files = files_of(shown)
    pair = choose_pair(len(files), first, second)
    task = (*files, pair)
    if (shown or []) != to_gallery(files) or task == compared:
        return tuple(gr.skip() for _ in range(6))
    choices = [(translate(words.picture_name(i)), i - 1) for i in range(1, len(files) + 1)]
    pickers = tuple(
        gr.Dropdown(choices, value=value, visible=len(files) > 2) for value in pair or (None, None)
    )
    if pair is None:
        slider, changes = map(translate, (compare_words.SLIDER, compare_words.CHANGES))
        empty = gr.ImageSlider(None, label=slider), gr.Image(None, label=changes)
        return task, *pickers, translate(compare_words.EMPTY), *empty
    verdict, slider, changes = compare_pair(files, *pair)
    names = [words.picture_name(i + 1) for i in pair]
    changed = translate(compare_words.changes_label(*names))
    return (
        task,
        *pickers,
        translate(verdict),
        gr.ImageSlider(slider, label=translate(compare_words.slider_label(*names))),
        gr.Image(changes, label=changed, alt_text=changed),
    )


def choose_pair(count: int, first: int | None, second: int | None) -> tuple[int, int] | None:
    """Return the indices (from 0) of the chosen pair if it still exists, else of the first two."""
    if count < 2:
        return None
    if first is None or second is None or not (0 <= first < count and 0 <= second < count):
        return 0, 1
    return first, second


def compare_pair(files: list[str], first: int, second: int) -> tuple[str, Any, Any]:
    """Return the verdict on two images, the pair for the slider, and the map of changes.

    Slider and map are None where there is nothing to show; errors become the verdict.
    """
    names = [words.picture_name(i + 1) for i in (first, second)]
    if first == second:
        return compare_words.SAME_TWICE, None, None
    try:
        pictures = [
            open_image(files[i], name) for i, name in zip((first, second), names, strict=True)
        ]
        difference = compare_pictures(*pictures)
    except RequestError as error:
        return Text(compare_words.NOT_COMPARED, reason=error.text), None, None
    except Exception:
        logger.exception("Two pictures could not be compared.")
        return Text(compare_words.NOT_COMPARED, reason=Text(words.BROKEN)), None, None
    changes = draw_map(difference) if difference.verdict != "different" else None
    return (
        compare_words.describe_difference(difference, *names),
        (difference.first, difference.second),
        changes,
    )
