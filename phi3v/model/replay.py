"""Steps of fixed shapes and places, which a CUDA graph records once and replays for every token.

A graph holds on to the memory it was recorded with; so keys and values are copied there when an
answer begins, and back when it ends. Without CUDA the same steps run one operation at a time,
which only tests do. Legend: H heads, N places, E head width, D text width.
"""

import logging
from collections import OrderedDict
from typing import Any

import torch

from .decoding import GrowingCache, rotation_table, step

logger = logging.getLogger(__name__)

# The fewest places; the next sizes double, so that a conversation that grows seldom changes them.
SMALLEST = 2048


class FixedLayer:
    """One layer's keys and values at fixed places, (1, 2H, N, E); a step writes at `position`."""

    def __init__(self, buffer: torch.Tensor, position: torch.Tensor) -> None:
        self.buffer, self.position = buffer, position
        self.keys, self.values = buffer.chunk(2, dim=1)

    def append(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Write a token's keys and values (1, 2H, 1, E); return all places, (1, H, N, E) each."""
        self.buffer.index_copy_(2, self.position, states)
        return self.keys, self.values


class Replay:
    """The step of one Phi3Model at up to `size` tokens, for one row, recorded where it can be.

    Raises RuntimeError where recording fails or gives another result than computing.
    """

    def __init__(self, model: Any, size: int) -> None:
        config, like = model.config, model.embed_tokens.weight
        width = config.hidden_size // config.num_attention_heads
        shape = (1, 2 * config.num_key_value_heads, size, width)
        self.model, self.size = model, size
        self.input_ids = torch.zeros(1, 1, dtype=torch.long, device=like.device)
        self.position = torch.zeros(1, dtype=torch.long, device=like.device)
        self.places = torch.arange(size, device=like.device)
        self.cos, self.sin = like.new_zeros(size, width), like.new_zeros(size, width)
        self.layers = [FixedLayer(like.new_zeros(shape), self.position) for _ in model.layers]
        self.graph: torch.cuda.CUDAGraph | None = None
        if like.device.type == "cuda":
            self._record()

    def begin(self, cache: GrowingCache) -> None:
        """Copy a cache's tokens here, to go on from them."""
        length, limit = cache.get_seq_length(), self.model.config.original_max_position_embeddings
        for fixed, layer in zip(self.layers, cache.layers, strict=True):
            fixed.keys[:, :, :length] = layer.keys
            fixed.values[:, :, :length] = layer.values
        end = self.size if length >= limit else min(self.size, limit)
        for place, table in zip((self.cos, self.sin), rotation_table(self.model, end), strict=True):
            place[:end] = table
        self.position.fill_(length)

    def step(self, input_ids: torch.Tensor) -> torch.Tensor:
        """One more token, ids (1, 1): (1, 1, D), good until the next step."""
        self.input_ids.copy_(input_ids)
        if self.graph is None:
            return self._compute()
        self.graph.replay()
        return self._output

    def _compute(self) -> torch.Tensor:
        rotation = self.cos[self.position], self.sin[self.position]
        mask = (self.places <= self.position)[None, None, None]  # (1, 1, 1, N)
        output = step(self.model, self.input_ids, self.layers, rotation, mask)
        self.position += 1
        return output

    def _record(self) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            expected = self._compute().clone()
            self._compute()  # libraries choose their ways of computing in the first calls
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may prepare pictures meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._output = self._compute()
        self.position.zero_()
        graph.replay()
        if not torch.allclose(self._output, expected, rtol=0.02, atol=0.02):
            raise RuntimeError("a recorded step gives another result than a computed one")
        self.graph = graph


class Replays:
    """The recorded steps of one network by size, within `budget` bytes of keys and values.

    The least recently used leave first. Where recording fails it says so once and gives none.
    """

    def __init__(self, model: Any, budget: int) -> None:
        self.model, self.budget = model, budget
        self._by_size: OrderedDict[int, Replay] = OrderedDict()

    def find(self, length: int) -> Replay | None:
        """Steps with room for `length` tokens, recorded if they are not yet; None without room."""
        size = SMALLEST
        while size < length:
            size *= 2
        if self._count_bytes(size) > self.budget:
            return None
        if size not in self._by_size:
            while self._count_bytes(size + sum(self._by_size)) > self.budget:
                self._by_size.popitem(last=False)
            try:
                self._by_size[size] = Replay(self.model, size)
            except RuntimeError as error:
                logger.warning("Steps cannot be recorded (%s); they run one by one.", error)
                self.budget = -1
                return None
        self._by_size.move_to_end(size)
        return self._by_size[size]

    def forget(self) -> None:
        """Let go of all of them."""
        self._by_size.clear()

    def _count_bytes(self, size: int) -> int:
        config, weight = self.model.config, self.model.embed_tokens.weight
        width = config.hidden_size // config.num_attention_heads * config.num_key_value_heads
        return 2 * size * width * config.num_hidden_layers * weight.element_size()


class ReplayedCache(GrowingCache):
    """A GrowingCache whose steps are replayed as long as there is room for them."""

    def __init__(self, replays: Replays) -> None:
        super().__init__()
        self._replays = replays
        self._replay: Replay | None = None
        self._pending = 0  # tokens that are in the replay and not yet in the layers

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many tokens there are, those in the replay included."""
        return super().get_seq_length(layer_idx) + self._pending

    def step(self, model: Any, input_ids: torch.Tensor) -> torch.Tensor:
        """As GrowingCache.step, but for one row."""
        length = self.get_seq_length() + 1
        if self._replay is None or length > self._replay.size:
            self.flush()
            self._replay = self._replays.find(length)
            if self._replay is None:
                return super().step(model, input_ids)
            self._replay.begin(self)
        self._pending += 1
        return self._replay.step(input_ids)

    def flush(self) -> None:
        """Bring all tokens into the layers, and leave the replay to others."""
        end = self.get_seq_length()
        begin, self._pending = end - self._pending, 0
        if self._replay is not None and end > begin:
            for fixed, layer in zip(self._replay.layers, self.layers, strict=True):
                layer.append(fixed.buffer[:, :, begin:end])
        self._replay = None

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """As every cache; asked for before the whole network runs, which needs the layers."""
        self.flush()
        return super().get_mask_sizes(query_length, layer_idx)

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; a negative number, as everywhere."""
        self.flush()
        super().crop(tokens_to_remove)

    def reset(self) -> None:
        """Forget everything."""
        self._replay, self._pending = None, 0
        super().reset()
