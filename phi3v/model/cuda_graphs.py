"""Decode steps of static shapes, captured as CUDA graphs and replayed for every token.

One buffer holds the cache slots of the running answer; each graph attends to the first N of them,
so that a growing answer changes from one graph to the next without copying. All graphs are captured
before the first of them is used: no later answer captures anything. Without CUDA the same steps
run eagerly, which only tests do. Legend: H heads, N cache slots, E head width, D text width.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch

from .decoding import GrowingCache, count_cache_bytes, rotation_table, step

logger = logging.getLogger(__name__)

# The slots of the smallest graph, and their granularity. The next graph has half as many again: an
# answer attends to one masked slot for two filled ones at worst.
MIN_SLOTS = 2048
SLOT_STEP = 256
# Share of the needed memory that must be free beside it before capturing is tried again.
RETRY_MARGIN = 1 / 4


class StaticLayer:
    """One layer's keys and values in N slots, (1, 2H, N, E); a step writes slot `position`."""

    def __init__(self, buffer: torch.Tensor, position: torch.Tensor) -> None:
        self.buffer, self.position = buffer, position
        self.keys, self.values = buffer.chunk(2, dim=1)

    def append(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Write a token's keys and values (1, 2H, 1, E); return all slots, (1, H, N, E) each."""
        self.buffer.index_copy_(2, self.position, states)
        return self.keys, self.values


class SlotBuffer:
    """Cache slots, rotation tables and input of the steps of one Phi3Model, for batch size 1."""

    def __init__(self, model: Any, num_slots: int) -> None:
        config, like = model.config, model.embed_tokens.weight
        width = config.hidden_size // config.num_attention_heads
        shape = (1, 2 * config.num_key_value_heads, num_slots, width)
        self.model, self.num_slots = model, num_slots
        self.input_ids = torch.zeros(1, 1, dtype=torch.long, device=like.device)
        self.position = torch.zeros(1, dtype=torch.long, device=like.device)
        self.indices = torch.arange(num_slots, device=like.device)
        self.cos, self.sin = like.new_zeros(num_slots, width), like.new_zeros(num_slots, width)
        self.layers = [like.new_zeros(shape) for _ in model.layers]

    def load(self, cache: GrowingCache) -> None:
        """Copy a cache's keys and values into the slots."""
        length, limit = cache.get_seq_length(), self.model.config.original_max_position_embeddings
        for buffer, layer in zip(self.layers, cache.layers, strict=True):
            keys, values = buffer.chunk(2, dim=1)
            keys[:, :, :length] = layer.keys
            values[:, :, :length] = layer.values
        end = self.num_slots if length >= limit else min(self.num_slots, limit)
        self.cos[:end], self.sin[:end] = rotation_table(self.model, end)
        self.position.fill_(length)

    def view(self, size: int) -> list[StaticLayer]:
        """Return the layers' first `size` slots."""
        return [StaticLayer(layer[:, :, :size], self.position) for layer in self.layers]

    def compute(self, layers: list[StaticLayer]) -> torch.Tensor:
        """Run the step for input_ids over a view of the slots, and advance; return (1, 1, D)."""
        size = layers[0].keys.shape[2]
        rotation = self.cos[self.position], self.sin[self.position]
        # In the states' own type: attention would convert any other in every layer.
        mask = torch.zeros_like(self.cos[:size, 0])
        mask.masked_fill_(self.indices[:size] > self.position, -torch.inf)
        output = step(self.model, self.input_ids, layers, rotation, mask[None, None, None])
        self.position += 1
        return output


class CapturedStep:
    """The decode step over a buffer's first `size` slots; captured on CUDA.

    Raises RuntimeError where capturing fails or the graph gives another result than the step.
    """

    def __init__(self, buffer: SlotBuffer, size: int, pool: Any = None) -> None:
        self.buffer, self.size = buffer, size
        self.layers = buffer.view(size)
        self.graph: torch.cuda.CUDAGraph | None = None
        if can_capture(buffer.position.device):
            self._capture(pool)

    def step(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Decode one token, ids (1, 1); return (1, 1, D), valid until the next step."""
        self.buffer.input_ids.copy_(input_ids)
        if self.graph is None:
            return self._compute()
        self.graph.replay()
        return self._output

    def _compute(self) -> torch.Tensor:
        return self.buffer.compute(self.layers)

    def _capture(self, pool: Any) -> None:
        self._fill()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            expected = self._compute().clone()
            self._compute()  # libraries choose their kernels in the first calls
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may prepare images meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            self._output = self._compute()
        self.buffer.position.fill_(self.size // 2)
        graph.replay()
        tolerance = 0.02 * float(expected.abs().max())
        if not torch.allclose(self._output, expected, rtol=0.02, atol=tolerance):
            raise RuntimeError("a captured step gives another result than an eager one")
        self.graph = graph

    def _fill(self) -> None:
        """Put numbers into slots and tables, so that mask, rotation and position matter."""
        for layer in self.layers:
            layer.buffer.normal_()
        self.buffer.cos[: self.size].normal_()
        self.buffer.sin[: self.size].normal_()
        self.buffer.position.fill_(self.size // 2)


class CapturedSteps:
    """The captured steps of one model, over one buffer of at most `maxsize` bytes.

    They are captured together at their first use, which the first `eager_answers` answers are not:
    where a process may answer only once, capturing does not pay. `free_memory` returns the
    device's free bytes: where memory runs out while capturing, decoding is eager until it returns
    enough. Where capturing fails otherwise, that is logged once and decoding stays eager.

    A graph keeps the weights that it was captured with, so each adapter has steps of its own, over
    the same buffer; `adapter` is the name of the one in effect.
    """

    def __init__(
        self,
        model: Any,
        maxsize: int,
        free_memory: Callable[[], int] | None = None,
        eager_answers: int = 0,
    ) -> None:
        self.model, self.maxsize = model, maxsize
        self.is_enabled = True
        self.num_captures = 0
        self.eager_answers = eager_answers
        self.adapter = ""
        longest = getattr(model.config, "max_position_embeddings", maxsize)
        slots = min(maxsize // self._count_bytes(1), longest)
        self.num_slots = slots // SLOT_STEP * SLOT_STEP
        self.sizes = choose_sizes(self.num_slots)
        self.buffer: SlotBuffer | None = None
        self._free_memory = free_memory
        self._is_short = False
        self._answers = 0
        self._steps: dict[str, dict[int, CapturedStep]] = {}

    def begin_answer(self) -> None:
        """Count an answer."""
        self._answers += 1

    def find(self, length: int) -> CapturedStep | None:
        """Return the smallest step with `length` slots or more; None if there is none."""
        if not self.is_enabled or length > self.num_slots or self._answers <= self.eager_answers:
            return None
        if self.adapter not in self._steps and not self._capture_all():
            return None
        steps = self._steps[self.adapter]
        return next(step for size, step in sorted(steps.items()) if size >= length)

    def clear(self) -> None:
        """Drop all steps and their buffer; they are captured again when they are used."""
        self._steps.clear()
        self.buffer = None

    def _capture_all(self) -> bool:
        """Capture all sizes, the largest first; return False where that fails."""
        needed = 0 if self.buffer else self._count_bytes(self.num_slots)
        free = self._free_memory() if self._is_short and self._free_memory else needed * 2
        if free < needed * (1 + RETRY_MARGIN):
            return False
        try:
            self.buffer = self.buffer or SlotBuffer(self.model, self.num_slots)
            is_capturing = can_capture(self.buffer.position.device)
            pool = torch.cuda.graph_pool_handle() if is_capturing else None
            steps = {}
            for size in reversed(self.sizes):
                steps[size] = CapturedStep(self.buffer, size, pool)
                self.num_captures += 1
        except torch.OutOfMemoryError as error:
            self.clear()
            self._is_short = True
            logger.warning("No memory to capture decode steps (%s); tried again later.", error)
            return False
        except RuntimeError as error:
            self.clear()
            self.is_enabled = False
            logger.warning("Decode steps cannot be captured (%s); they run eagerly.", error)
            return False
        self._steps[self.adapter] = steps
        self._is_short = False
        return True

    def _count_bytes(self, size: int) -> int:
        return count_cache_bytes(self.model.config, self.model.embed_tokens.weight.dtype, size)


def can_capture(device: torch.device) -> bool:
    """True if the device has graphs."""
    return device.type == "cuda"


def choose_sizes(num_slots: int) -> tuple[int, ...]:
    """Return the sizes of the graphs over a buffer, ascending: each half as large again."""
    sizes, size = [], MIN_SLOTS
    while size < num_slots:
        sizes.append(size)
        size = size * 3 // 2 // SLOT_STEP * SLOT_STEP
    return (*sizes, num_slots) if num_slots else ()


class CapturedCache(GrowingCache):
    """A GrowingCache that decodes by captured steps while one has room for it."""

    def __init__(self, steps: CapturedSteps) -> None:
        super().__init__()
        self._steps = steps
        self._step: CapturedStep | None = None
        self._pending = 0  # tokens that are in the buffer's slots and not yet in the layers

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of tokens, those in the buffer's slots included."""
        return super().get_seq_length(layer_idx) + self._pending

    def step(self, model: Any, input_ids: torch.Tensor) -> torch.Tensor:
        """As GrowingCache.step, for batch size 1."""
        length = self.get_seq_length() + 1
        if self._step is None or length > self._step.size:
            found = self._steps.find(length)
            if found is None:
                self.flush()
                return super().step(model, input_ids)
            if self._step is None:
                found.buffer.load(self)
            self._step = found  # over the same slots
        self._pending += 1
        return self._step.step(input_ids)

    def flush(self) -> None:
        """Copy pending tokens into the layers and release the captured step."""
        end = self.get_seq_length()
        begin, self._pending = end - self._pending, 0
        if self._step is not None and end > begin:
            for buffer, layer in zip(self._step.buffer.layers, self.layers, strict=True):
                layer.append(buffer[:, :, begin:end])
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
