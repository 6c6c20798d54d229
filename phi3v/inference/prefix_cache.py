"""LRU cache of KV prefixes by token keys, shared by an engine's requests.

A prompt's key has a number for each token: its id, or in an image slot a number made of the
image's pixels, plus one of the adapter. So a prefix is found by content only, and one user's turn
never surfaces in another's. Clearing the cache costs time only. Legend: T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray

from phi3v.inference.image_preparation import PreparedImage
from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from phi3v.model.crops import count_image_tokens, crop_grid
from phi3v.model.cuda_graphs import CapturedCache, CapturedSteps
from phi3v.model.decoding import GrowingCache

Key = NDArray[np.int64]  # (T,)

# Added to the ids of a prompt for each adapter by its number; larger than any id.
ADAPTER_STEP = 2**32

# Shorter prefixes are not worth it, unless they are half of the prompt: all prompts begin with the
# same four tokens, and on a GPU the rest is computed as fast without them.
MIN_PREFIX = 64


@dataclass(frozen=True)
class Prefix:
    """Keys and values of T tokens, (1, heads, T, head_dim) each, layer by layer."""

    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers that hold them, unused slots included."""
        storages = (states.untyped_storage() for layer in self.layers for states in layer)
        return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


class PrefixCache:
    """KV prefixes of conversations, least recently used evicted beyond `maxsize` bytes.

    With `captured_steps`, the caches that it returns decode by captured steps.
    """

    def __init__(
        self,
        model: Phi3VForCausalLM,
        processor: Phi3VProcessor,
        maxsize: int,
        captured_steps: CapturedSteps | None = None,
    ) -> None:
        self.captured_steps = captured_steps
        self._image_token_id = processor.image_token_id
        self._short_length = model.config.original_max_position_embeddings
        # by the bytes of their keys, which can be compared without counting as a use
        self._prefixes: LRUCache[bytes, Prefix] = LRUCache(
            maxsize, getsizeof=lambda prefix: prefix.nbytes
        )

    def make_key(
        self, input_ids: torch.Tensor, images: Sequence[PreparedImage], adapter: int = 0
    ) -> Key:
        """Return the key of a prompt, ids (1, T): a number per token, equal for equal content.

        Image slots, which all have one token id, get negative numbers derived from their image's
        key; `images` are in the order of their slots. adapter is a number too, 0 without.
        """
        key = input_ids[0].cpu().numpy().astype(np.int64)
        slots = np.flatnonzero(key == self._image_token_id)
        key += adapter * ADAPTER_STEP
        begin = 0
        for image in images:
            grid = crop_grid(*image.size, image.num_crops)
            offsets = np.arange(count_image_tokens(*grid))
            # 61 bits of the hash, plus the offset within the image: no overflow
            first = int.from_bytes(image.key[:8], "big") >> 3
            key[slots[begin : begin + len(offsets)]] = -1 - first - offsets
            begin += len(offsets)
        return key

    def find(self, key: Key) -> GrowingCache:
        """Return a KV cache that holds the longest cached prefix of `key`; empty without one.

        At least one token is left to compute. A prefix made with one set of RoPE factors does not
        fit a prompt that needs the other.
        """
        is_long = self._is_long(len(key))
        best, length = b"", 0
        for cached in self._prefixes:
            candidate = np.frombuffer(cached, np.int64)
            common = count_common(candidate, key[:-1])
            if self._is_long(len(candidate)) == is_long and common > length:
                best, length = cached, common
        cache = GrowingCache()
        if self.captured_steps is not None:
            self.captured_steps.begin_answer()
            cache = CapturedCache(self.captured_steps)
        if best and length >= min(MIN_PREFIX, len(key) / 2):
            for layer, (keys, values) in enumerate(self._prefixes[best].layers):
                # Views: the cache copies them into a buffer of its own.
                cache.update(keys[:, :, :length], values[:, :, :length], layer)
            cache.is_long = is_long
        return cache

    def store(self, key: Key, cache: GrowingCache) -> None:
        """Store an answer's KV cache under the key of its prompt and answer, cut to its length."""
        cache.flush()
        key = key[: cache.get_seq_length()]
        for cached in list(self._prefixes):
            candidate = np.frombuffer(cached, np.int64)
            if count_common(candidate, key) == len(candidate):
                self._prefixes.pop(cached)
        prefix = Prefix(tuple((layer.keys, layer.values) for layer in cache.layers))
        if prefix.nbytes <= self._prefixes.maxsize:
            self._prefixes[key.tobytes()] = prefix

    def clear(self) -> None:
        """Evict everything, captured steps included."""
        self._prefixes.clear()
        if self.captured_steps is not None:
            self.captured_steps.clear()

    def _is_long(self, length: int) -> bool:
        return bool(length > self._short_length)


def count_common(first: Key, second: Key) -> int:
    """Return the length of two keys' common prefix."""
    length = min(len(first), len(second))
    differs = first[:length] != second[:length]
    return int(differs.argmax()) if differs.any() else length
