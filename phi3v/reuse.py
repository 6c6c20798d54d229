"""What is kept between requests: features of pictures, and keys and values of conversations.

Everything is known by its content, and belongs to one engine: a picture by its pixels, a text by
its token ids, so that one user's turn cannot surface in another's. Losing it all costs time only.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from PIL import Image
from transformers import BatchFeature
from transformers.modeling_outputs import BaseModelOutputWithPooling

from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from phi3v.model.decoding import GrowingCache
from phi3v.model.image_processing import count_image_tokens, crop_grid
from phi3v.model.replay import ReplayedCache, Replays

# Crops that run through the vision tower at once: small pictures together, large ones one by one,
# to say how far it is. 4 cost a CPU no more than all at once (with the embedded checkpoint's sizes;
# one by one 8 of one crop took 1.2 times as long); a GPU needs more of them to be busy.
CROPS_AT_ONCE = {"cpu": 4}
MOST_CROPS_AT_ONCE = 17

# Features of a picture at 16 crops are 1,921 tokens of 6 KiB; a conversation of as many tokens
# keeps 384 KiB for each (published sizes, two bytes a number). So the larger part is for those.
SHARE_OF_FEATURES = 1 / 8


@dataclass(frozen=True)
class Picture:
    """An image of a request, known by its pixels and the number of crops it may be cut into.

    pixels are the processor's for this one image; None if its features were kept when asked for.
    """

    content: bytes
    image: Image.Image
    num_crops: int
    pixels: BatchFeature | None


@dataclass(frozen=True)
class Prefix:
    """Keys and values of the tokens that `key` tells apart, (1, heads, T, head_dim) by layer.

    is_long says with which of the two sets of RoPE factors the keys were made.
    """

    key: np.ndarray
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    is_long: bool

    @property
    def nbytes(self) -> int:
        """What the keys and values take, in bytes, with the room left in their buffers."""
        storages = (states.untyped_storage() for layer in self.layers for states in layer)
        return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


Value = TypeVar("Value", torch.Tensor, Prefix)


class Kept(Generic[Value]):
    """Values by key, the least recently used leaving first, within `budget` bytes."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.nbytes = 0
        self._values: OrderedDict[bytes, Value] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        return key in self._values

    def values(self) -> list[Value]:
        """All values; looking at them does not count as use."""
        return list(self._values.values())

    def use(self, key: bytes) -> Value:
        """The value of a key, which is now the last to leave."""
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: bytes, value: Value) -> None:
        """Keep a value, unless it alone is more than the budget, and let others leave for it."""
        self.remove(key)
        if value.nbytes > self.budget:
            return
        self._values[key] = value
        self.nbytes += value.nbytes
        while self.nbytes > self.budget:
            self.remove(next(iter(self._values)))

    def clear(self) -> None:
        """Let all values go."""
        self._values.clear()
        self.nbytes = 0

    def remove(self, key: bytes) -> None:
        """Let a value go, if it is there."""
        value = self._values.pop(key, None)
        self.nbytes -= value.nbytes if value is not None else 0


class Reuse:
    """Keeps what one network computed, least recently used out first, within `budget` bytes.

    encoded_images counts the pictures that ran through the vision tower. With `replays`, the
    caches it gives are for steps that are recorded.
    """

    def __init__(
        self,
        model: Phi3VForCausalLM,
        processor: Phi3VProcessor,
        budget: int,
        replays: Replays | None = None,
    ) -> None:
        self.model = model
        self.replays = replays
        self.processor = processor
        self.encoded_images = 0
        features = int(budget * SHARE_OF_FEATURES)
        self._features: Kept[torch.Tensor] = Kept(features)
        self._prefixes: Kept[Prefix] = Kept(budget - features)

    def prepare(self, image: Image.Image, num_crops: int) -> Picture:
        """Know an RGB image by its content and, unless its features are kept, cut its crops.

        May run in any thread, while another request is being answered.
        """
        digest = hashlib.sha256(f"{image.size} {num_crops} ".encode())
        digest.update(image.tobytes())
        content = digest.digest()
        is_kept = content in self._features
        pixels = None if is_kept else self.processor.image_processor(image, num_crops=num_crops)
        return Picture(content, image, num_crops, pixels)

    def encode(
        self, pictures: Sequence[Picture], report: Callable[[int], None] | None = None
    ) -> tuple[torch.Tensor, ...]:
        """Each picture's token features, (tokens, D), running the tower for new ones only.

        report is told the index of the picture that is about to run. What it raises ends the
        encoding; pictures that are done by then stay known.
        """
        known = {
            picture.content: self._features.use(picture.content)
            for picture in pictures
            if picture.content in self._features
        }
        indices: dict[bytes, int] = {}
        for index, picture in enumerate(pictures):
            indices.setdefault(picture.content, index)
        new = [pictures[index] for content, index in indices.items() if content not in known]
        most = CROPS_AT_ONCE.get(self.model.device.type, MOST_CROPS_AT_ONCE)
        for group in group_pictures(new, most):
            if report is not None:
                report(indices[group[0].content])
            for picture, features in zip(group, self._run_tower(group), strict=True):
                known[picture.content] = features
                self._features.put(picture.content, features.clone())
        return tuple(known[picture.content] for picture in pictures)

    def _run_tower(self, pictures: Sequence[Picture]) -> tuple[torch.Tensor, ...]:
        prepared = [
            picture.pixels  # None where it was kept then and is gone now
            or self.processor.image_processor(picture.image, num_crops=picture.num_crops)
            for picture in pictures
        ]
        output = self.model.model.get_image_features(
            torch.cat([pixels["pixel_values"] for pixels in prepared]).to(self.model.device),
            torch.cat([pixels["image_sizes"] for pixels in prepared]),
        )
        self.encoded_images += len(pictures)
        return tuple(output.pooler_output)

    def identify(self, input_ids: torch.Tensor, slots: Sequence[Picture]) -> np.ndarray:
        """A number for every token of a prompt (1, T), the same only for the same content.

        Slots of pictures, which all have one token id, get numbers below zero from the picture's
        content; `slots` are the pictures in the order in which they stand.
        """
        key = input_ids[0].cpu().numpy().astype(np.int64)
        places = np.flatnonzero(key == self.processor.image_token_id)
        begin = 0
        for picture in slots:
            grid = crop_grid(*picture.image.size, picture.num_crops)
            own = np.arange(count_image_tokens(*grid))
            # 61 bits of the digest, the position within the picture added: no overflow
            first = int.from_bytes(picture.content[:8], "big") >> 3
            key[places[begin : begin + len(own)]] = -1 - first - own
            begin += len(own)
        return key

    def find_prefix(self, key: np.ndarray) -> GrowingCache:
        """A cache that holds the longest kept beginning of a prompt; empty where there is none.

        At least one token is left to compute. Keys made with one set of RoPE factors do not fit a
        prompt that needs the other.
        """
        is_long = self._is_long(len(key))
        best, length = None, 0
        for prefix in self._prefixes.values():
            common = count_common(prefix.key, key[:-1])
            if prefix.is_long == is_long and common > length:
                best, length = prefix, common
        cache = GrowingCache() if self.replays is None else ReplayedCache(self.replays)
        if best is not None:
            self._prefixes.use(best.key.tobytes())
            for layer, (keys, values) in enumerate(best.layers):
                # Views: the cache copies them into a buffer of its own.
                cache.update(keys[:, :, :length], values[:, :, :length], layer)
            cache.is_long = is_long
        return cache

    def keep_prefix(self, key: np.ndarray, cache: GrowingCache) -> None:
        """Keep an answer's cache under its tokens' numbers (prompt and answer; surplus is cut)."""
        cache.flush()
        key = key[: cache.get_seq_length()]
        for other in self._prefixes.values():
            if count_common(other.key, key) == len(other.key):
                self._prefixes.remove(other.key.tobytes())
        layers = tuple((layer.keys, layer.values) for layer in cache.layers)
        self._prefixes.put(key.tobytes(), Prefix(key, layers, self._is_long(len(key))))

    def forget(self) -> None:
        """Let go of everything."""
        self._features.clear()
        self._prefixes.clear()
        if self.replays is not None:
            self.replays.forget()

    def _is_long(self, length: int) -> bool:
        return length > self.model.config.original_max_position_embeddings


def count_common(first: np.ndarray, second: np.ndarray) -> int:
    """How many numbers two arrays have in common from their start."""
    length = min(len(first), len(second))
    differs = first[:length] != second[:length]
    return int(differs.argmax()) if differs.any() else length


def group_pictures(pictures: Iterable[Picture], most_crops: int) -> list[list[Picture]]:
    """Neighbours put together as long as a group has no more crops than that, or one picture."""
    groups: list[list[Picture]] = []
    room = 0
    for picture in pictures:
        rows, columns = crop_grid(*picture.image.size, picture.num_crops)
        crops = 1 if rows * columns == 1 else 1 + rows * columns
        if crops > room:
            groups.append([])
            room = most_crops
        groups[-1].append(picture)
        room -= crops
    return groups


def as_encoded(features: tuple[torch.Tensor, ...]) -> dict[str, BaseModelOutputWithPooling]:
    """Features as generate's `mm_encoder_outputs`, standing for the pixels."""
    return {"image": BaseModelOutputWithPooling(pooler_output=features)} if features else {}
