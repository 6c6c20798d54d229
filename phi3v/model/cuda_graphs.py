"""Decode steps of static shapes, captured once as a CUDA graph and replayed for every token.

A graph uses the memory it was captured with: keys and values are copied there when an answer
begins, and back when it ends. Without CUDA the same step runs eagerly, which only tests do.
Legend: H heads, N cache slots, E head width, D text width.
"""

import logging
from typing import Any

import torch
from cachetools import LRUCache

from .decoding import GrowingCache, rotation_table, step

logger = logging.getLogger(__name__)

# The fewest cache slots; sizes double from there, so that a growing conversation seldom changes.
MIN_SLOTS = 2048


class StaticLayer:
    """One layer's keys and values in N slots, (1, 2H, N, E); a step writes slot `position`."""

    def __init__(self, buffer: torch.Tensor, position: torch.Tensor) -> None:
        self.buffer, self.position = buffer, position
        self.keys, self.values = buffer.chunk(2, dim=1)

    def append(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Write a token's keys and values (1, 2H, 1, E); return all slots, (1, H, N, E) each."""
        self.buffer.index_copy_(2, self.position, states)
        return self.keys, self.values


class CapturedStep:
    """The decode step of a Phi3Model with `size` cache slots and batch size 1; captured on CUDA.

    Raises RuntimeError where capturing fails or the graph gives another result than the step.
    """

    def __init__(self, model: Any, size: int) -> None:
        config, like = model.config, model.embed_tokens.weight
        width = config.hidden_size // config.num_attention_heads
        shape = (1, 2 * config.num_key_value_heads, size, width)
        self.model, self.size = model, size
        self.input_ids = torch.zeros(1, 1, dtype=torch.long, device=like.device)
        self.position = torch.zeros(1, dtype=torch.long, device=like.device)
        self.slots = torch.arange(size, device=like.device)
        self.cos, self.sin = like.new_zeros(size, width), like.new_zeros(size, width)
        self.layers = [StaticLayer(like.new_zeros(shape), self.position) for _ in model.layers]
        self.graph: torch.cuda.CUDAGraph | None = None
        if like.device.type == "cuda":
            self._capture()

    def load(self, cache: GrowingCache) -> None:
        """Copy a cache's keys and values into the slots."""
        length, limit = cache.get_seq_length(), self.model.config.original_max_position_embeddings
        for static, layer in zip(self.layers, cache.layers, strict=True):
            static.keys[:, :, :length] = layer.keys
            static.values[:, :, :length] = layer.values
        end = self.size if length >= limit else min(self.size, limit)
        for target, table in zip(
            (self.cos, self.sin), rotation_table(self.model, end), strict=True
        ):
            target[:end] = table
        self.position.fill_(length)

    def step(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Decode one token, ids (1, 1); return (1, 1, D), valid until the next step."""
        self.input_ids.copy_(input_ids)
        if self.graph is None:
            return self._compute()
        self.graph.replay()
        return self._output

    def _compute(self) -> torch.Tensor:
        rotation = self.cos[self.position], self.sin[self.position]
        mask = (self.slots <= self.position)[None, None, None]  # (1, 1, 1, N)
        output = step(self.model, self.input_ids, self.layers, rotation, mask)
        self.position += 1
        return output

    def _capture(self) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            expected = self._compute().clone()
            self._compute()  # libraries choose their kernels in the first calls
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may prepare images meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._output = self._compute()
        self.position.zero_()
        graph.replay()
        if not torch.allclose(self._output, expected, rtol=0.02, atol=0.02):
            raise RuntimeError("a captured step gives another result than an eager one")
        self.graph = graph


class CapturedSteps:
    """Captured steps of one model by size; LRU within `maxsize` bytes of keys and values.

    If capturing fails, that is logged once and decoding stays eager.
    """

    def __init__(self, model: Any, maxsize: int) -> None:
        self.model = model
        self.is_enabled = True
        self._by_size: LRUCache[int, CapturedStep] = LRUCache(
            maxsize, getsizeof=lambda step: self._count_bytes(step.size)
        )

    def find(self, length: int) -> CapturedStep | None:
        """Return a step with `length` slots or more, captured if it is new; None if none fits."""
        size = MIN_SLOTS
        while size < length:
            size *= 2
        needed = self._count_bytes(size)
        if not self.is_enabled or needed > self._by_size.maxsize:
            return None
        if size not in self._by_size:
            while self._by_size.currsize + needed > self._by_size.maxsize:
                self._by_size.popitem()  # before the new one takes its memory
            try:
                self._by_size[size] = CapturedStep(self.model, size)
            except RuntimeError as error:
                logger.warning("Decode steps cannot be captured (%s); they run eagerly.", error)
                self.is_enabled = False
                return None
        return self._by_size[size]

    def clear(self) -> None:
        """Drop all captured steps."""
        self._by_size.clear()

    def _count_bytes(self, size: int) -> int:
        config, weight = self.model.config, self.model.embed_tokens.weight
        width = config.hidden_size // config.num_attention_heads * config.num_key_value_heads
        return 2 * size * width * config.num_hidden_layers * weight.element_size()


class CapturedCache(GrowingCache):
    """A GrowingCache that decodes by captured steps while one has room for it."""

    def __init__(self, steps: CapturedSteps) -> None:
        super().__init__()
        self._steps = steps
        self._step: CapturedStep | None = None
        self._pending = 0  # tokens that are in the step's slots and not yet in the layers

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of tokens, those in the captured step's slots included."""
        return super().get_seq_length(layer_idx) + self._pending

    def step(self, model: Any, input_ids: torch.Tensor) -> torch.Tensor:
        """As GrowingCache.step, for batch size 1."""
        length = self.get_seq_length() + 1
        if self._step is None or length > self._step.size:
            self.flush()
            self._step = self._steps.find(length)
            if self._step is None:
                return super().step(model, input_ids)
            self._step.load(self)
        self._pending += 1
        return self._step.step(input_ids)

    def flush(self) -> None:
        """Copy pending tokens into the layers and release the captured step."""
        end = self.get_seq_length()
        begin, self._pending = end - self._pending, 0
        if self._step is not None and end > begin:
            for static, layer in zip(self._step.layers, self.layers, strict=True):
                layer.append(static.buffer[:, :, begin:end])
        self._step = None

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """As for every cache; called before a full forward pass, which reads the layers."""
        self.flush()
        return super().get_mask_sizes(query_length, layer_idx)

    def crop(self, tokens_to_remove: int) -> None:
        """Remove the last tokens; takes a negative number, as DynamicCache.crop."""
        self.flush()
        super().crop(tokens_to_remove)

    def reset(self) -> None:
        """Remove all tokens."""
        self._step, self._pending = None, 0
        super().reset()
