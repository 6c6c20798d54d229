"""Opens a request into an Answer: adapter, prompt, opened images, token ids, configuration.

Knows the limits of a model only as arguments; knows nothing of queueing and generating.
"""

import threading
import time
from collections.abc import Sequence
from functools import partial
from weakref import WeakSet

import torch

from phi3v.conversation.prompt import Prompt, build_prompt
from phi3v.inference.adapters import Adapters
from phi3v.inference.generation import configure_generation
from phi3v.inference.image_preparation import RequestImages
from phi3v.inference.streaming import Answer, AnswerStreamer
from phi3v.inference.token_probabilities import TokenProbabilities
from phi3v.inference.vision_cache import VisionCache
from phi3v.model import Phi3VProcessor
from phi3v.model.crops import crop_grid
from phi3v.request import Request

# Pixels of opened images that all waiting requests hold together, 144 MB: what exceeds them is
# opened again when it is prepared.
MAX_HELD_PIXELS = 48_000_000


class RequestOpener:
    """Opens an engine's requests, before they are queued; thread-safe.

    Opened images of all requests together hold MAX_HELD_PIXELS at most.
    """

    def __init__(
        self, processor: Phi3VProcessor, vision_cache: VisionCache, adapters: Adapters
    ) -> None:
        self._processor = processor
        self._vision_cache = vision_cache
        self._adapters = adapters
        # Requests that arrive together open their images in turns, or those would fill the memory.
        self._opening = threading.Lock()
        self._waiting: WeakSet[RequestImages] = WeakSet()

    def open(
        self,
        request: Request,
        stop: threading.Event,
        context_length: int,
        stop_token_ids: Sequence[int],
    ) -> Answer:
        """Return the answer to generate, which `stop` or one of the model's stop tokens ends.

        Raises RequestError for an adapter, a prompt or an image that cannot be used.
        """
        requested_at = time.perf_counter()
        adapter = self._adapters.check(request.adapter)
        prompt = build_prompt(request, self._processor, context_length)
        images = self._open_images(request, prompt, adapter)
        grids = [crop_grid(*size, prompt.num_crops) for size in prompt.sizes]
        ids = [*self._processor.tokenize(prompt.text, grids), *prompt.answer_ids]
        tokenizer, own_stop_ids = self._processor.tokenizer, request.stop_token_ids
        ending = sorted({*stop_token_ids, *own_stop_ids})
        config = configure_generation(request.sampling, ending, tokenizer)
        probabilities = TokenProbabilities() if request.wants_probabilities else None
        return Answer(
            prompt,
            torch.tensor([ids]),
            images,
            config,
            request.sampling.seed,
            AnswerStreamer(tokenizer, prompt.answer_ids, own_stop_ids, probabilities),
            stop,
            requested_at,
            request.ends_loops,
            probabilities,
            adapter,
        )

    def _open_images(self, request: Request, prompt: Prompt, adapter: str) -> RequestImages:
        sources = [image for turn in request.turns for image in turn.images]
        prepare = partial(self._vision_cache.prepare, num_crops=prompt.num_crops, adapter=adapter)
        images = RequestImages(sources, prompt.sizes, prepare)
        held = sum(waiting.held_pixels for waiting in self._waiting)
        images.open(MAX_HELD_PIXELS - held, self._opening)
        self._waiting.add(images)
        return images
