"""The keywords of the processor and the image processor, as transformers wants them declared."""

from typing import TypedDict

from transformers.processing_utils import ImagesKwargs, ProcessingKwargs, TextKwargs


class Phi3VImageProcessorKwargs(ImagesKwargs, total=False):  # type: ignore[call-arg]
    """The keywords of transformers' image processors, and num_crops."""

    num_crops: int | None


class NoKwargs(TypedDict, total=False):
    """The keywords of what Phi-3-Vision has not."""


class Phi3VProcessorKwargs(ProcessingKwargs, total=False):  # type: ignore[call-arg]
    """The keywords of transformers' processors, without those of videos and audio."""

    text_kwargs: TextKwargs
    images_kwargs: Phi3VImageProcessorKwargs
    videos_kwargs: NoKwargs
    audio_kwargs: NoKwargs
