"""LRU cache of vision features by image hash, shared by an engine's requests.

Keys are pixel contents, so one user's image never stands in for another's. Clearing the cache
costs time only.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence

import torch
from cachetools import LRUCache
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from phi3v.inference.image_preparation import PreparedImage
from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from phi3v.model.crops import crop_grid

# Most crops per pass through the vision tower: small images share a pass, large ones have their
# own, so that progress can be reported. On a CPU 4 at once were as fast as all at once (embedded
# checkpoint; one by one, 8 of one crop took 1.2 times as long); a GPU needs more to be busy.
MAX_BATCH_CROPS = {"cpu": 4}
MAX_BATCH_CROPS_ELSEWHERE = 17

HASHED_ROWS = 256


class VisionCache:
    """Vision features, (tokens, D) per image, least recently used evicted beyond `maxsize` bytes.

    encoded_images counts the images that ran through the vision tower.
    """

    def __init__(self, model: Phi3VForCausalLM, processor: Phi3VProcessor, maxsize: int) -> None:
        self.model = model
        self.processor = processor
        self.encoded_images = 0
        self._lock = threading.Lock()
        self._features: LRUCache[bytes, torch.Tensor] = LRUCache(
            maxsize, getsizeof=lambda features: features.nbytes
        )

    def prepare(self, image: Image.Image, num_crops: int, adapter: str = "") -> PreparedImage:
        """Hash an RGB image and cut its crops, unless its features are cached.

        Features are cached by adapter too, which may have changed the vision tower. May run in any
        thread while another request is being answered.
        """
        digest = hashlib.sha256(f"{image.size} {num_crops} {adapter}".encode())
        for top in range(0, image.height, HASHED_ROWS):  # not all at once: that would be a copy
            strip = image.crop((0, top, image.width, min(top + HASHED_ROWS, image.height)))
            digest.update(strip.tobytes())
        key = digest.digest()
        with self._lock:
            encoded = self._features.get(key)
        if encoded is not None:  # held from now on: another request may evict it
            return PreparedImage(key, image.size, num_crops, None, encoded)
        features = self.processor.image_processor(image, num_crops=num_crops)
        return PreparedImage(key, image.size, num_crops, features)

    def encode(
        self, images: Sequence[PreparedImage], report: Callable[[int], None] | None = None
    ) -> tuple[torch.Tensor, ...]:
        """Return each image's features, (tokens, D), running the vision tower on cache misses.

        `report` is called with the index of the image about to run. What it raises ends the
        encoding; images encoded by then stay cached.
        """
        known = {image.key: image.encoded for image in images if image.encoded is not None}
        with self._lock:
            for image in images:
                if image.key in self._features:
                    known[image.key] = self._features[image.key]
        indices: dict[bytes, int] = {}
        for index, image in enumerate(images):
            indices.setdefault(image.key, index)
        missing = [images[index] for key, index in indices.items() if key not in known]
        most = MAX_BATCH_CROPS.get(self.model.device.type, MAX_BATCH_CROPS_ELSEWHERE)
        for batch in batch_images(missing, most):
            if report is not None:
                report(indices[batch[0].key])
            for image, features in zip(batch, self._run_tower(batch), strict=True):
                known[image.key] = features
                if features.nbytes <= self._features.maxsize:
                    with self._lock:
                        self._features[image.key] = features.clone()
        return tuple(known[image.key] for image in images)

    def clear(self) -> None:
        """Evict everything."""
        with self._lock:
            self._features.clear()

    def _run_tower(self, images: Sequence[PreparedImage]) -> tuple[torch.Tensor, ...]:
        features = [image.features for image in images if image.features is not None]
        output = self.model.model.get_image_features(
            torch.cat([of_image["pixel_values"] for of_image in features]).to(self.model.device),
            torch.cat([of_image["image_sizes"] for of_image in features]),
        )
        self.encoded_images += len(images)
        return tuple(output.pooler_output)


def batch_images(images: Iterable[PreparedImage], max_crops: int) -> list[list[PreparedImage]]:
    """Group consecutive images into batches of at most `max_crops` crops, or of one image."""
    batches: list[list[PreparedImage]] = []
    room = 0
    for image in images:
        rows, columns = crop_grid(*image.size, image.num_crops)
        crops = 1 if rows * columns == 1 else 1 + rows * columns
        if crops > room:
            batches.append([])
            room = max_crops
        batches[-1].append(image)
        room -= crops
    return batches


def as_encoder_outputs(
    features: tuple[torch.Tensor, ...],
) -> dict[str, BaseModelOutputWithPooling]:
    """Features as the `mm_encoder_outputs` argument of generate, which replaces pixel values."""
    return {"image": BaseModelOutputWithPooling(pooler_output=features)} if features else {}
