"""Single-token decode step with few operations, bit for bit equal to Phi3Model's forward pass.

A decode step is hundreds of small operations, and on a small model, or a fast GPU without CUDA
graphs, launching them takes longer than computing them. This step has about half as many. Legend:
B batch, T new tokens, H heads, L cached tokens, E head width, D text width.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention.bias import CausalBias, CausalVariant
from transformers import Cache
from transformers.cache_utils import DynamicLayer

# Slots by which buffers and tables grow at least, buffers by an eighth: copying is then rare, and
# an allocator is left with few sizes.
GROWTH = 256


class GrowingLayer(DynamicLayer):
    """A layer's keys and values in one buffer with free slots, (B, 2H, slots, E).

    A new token is written into a slot; DynamicLayer copies all keys and values for each. `keys`
    and `values` are views of the filled slots.
    """

    keys: torch.Tensor
    values: torch.Tensor
    buffer: torch.Tensor

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate an empty buffer."""
        rows, heads, _, width = key_states.shape
        self.dtype, self.device = key_states.dtype, key_states.device
        self.buffer = key_states.new_empty(rows, 2 * heads, 0, width)
        self.keys, self.values = self.buffer.chunk(2, dim=1)
        self.is_initialized = True

    def reset(self) -> None:
        """Remove all tokens; transformers before 5.23 would only set them to zero."""
        self.is_initialized = False

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values, (B, H, T, E) each; return all so far, (B, H, L, E) each."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        new_keys, new_values = self._extend(key_states.shape[2]).chunk(2, dim=1)
        new_keys.copy_(key_states)
        new_values.copy_(value_states)
        return self.keys, self.values

    def append(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As update, with keys and values concatenated, (B, 2H, T, E)."""
        self._extend(states.shape[2]).copy_(states)
        return self.keys, self.values

    def _extend(self, count: int) -> torch.Tensor:
        """Reserve `count` slots and return them, (B, 2H, count, E), for the caller to fill."""
        begin = self.keys.shape[2]
        end = begin + count
        if end > self.buffer.shape[2]:
            rows, heads, _, width = self.buffer.shape
            slots = (max(end, begin + begin // 8) // GROWTH + 1) * GROWTH
            buffer = self.buffer.new_empty(rows, heads, slots, width)
            buffer[:, :, :begin] = self.buffer[:, :, :begin]
            self.buffer = buffer
        self.keys, self.values = self.buffer[:, :, :end].chunk(2, dim=1)
        return self.buffer[:, :, begin:end]


class GrowingCache(Cache):
    """A KV cache for a batch without padding, with which `generate` decodes by `step`."""

    # True if its keys were made with the long RoPE factors, however few they are.
    is_long = False

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=GrowingLayer)
        self._rotation: tuple[torch.Tensor, torch.Tensor] | None = None
        self._is_rotation_long = False

    def step(self, model: Any, input_ids: torch.Tensor) -> torch.Tensor:
        """Run a Phi3Model over one more token, ids (B, 1), and append it; return (B, 1, D)."""
        cos, sin = self._find_rotation(model)
        position = self.get_seq_length()
        rotation = cos[position : position + 1], sin[position : position + 1]
        return step(model, input_ids, self.layers, rotation)

    def flush(self) -> None:
        """Copy pending tokens into the layers; here there are none."""

    def _find_rotation(self, model: Any) -> tuple[torch.Tensor, torch.Tensor]:
        position, limit = self.get_seq_length(), model.config.original_max_position_embeddings
        is_long = position >= limit
        table = self._rotation
        if table is None or position >= len(table[0]) or self._is_rotation_long != is_long:
            end = (position // GROWTH + 1) * GROWTH
            table = rotation_table(model, end if is_long else min(end, limit))
            self._rotation, self._is_rotation_long = table, is_long
        return table


def count_cache_bytes(config: Any, dtype: torch.dtype, tokens: int = 1) -> int:
    """Return the bytes of keys and values that tokens take in all layers of a Phi3Model."""
    width = config.hidden_size // config.num_attention_heads * config.num_key_value_heads
    return int(2 * config.num_hidden_layers * width * dtype.itemsize * tokens)


def causal_suffix_mask(count: int, length: int) -> CausalBias:
    """Return the mask of the last `count` of `length` tokens, which attend to all before them.

    With it scaled_dot_product_attention keeps its fast kernels on CUDA, which it loses with a mask
    of numbers. It is four-dimensional, as transformers takes prepared masks, and has no storage.
    """
    mask = torch.zeros(()).expand(1, 1, count, length).as_subclass(CausalBias)
    mask.variant, mask.seq_len_q, mask.seq_len_kv = CausalVariant.LOWER_RIGHT, count, length
    return mask


def rotation_table(model: Any, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosine and signed sine, (length, E) each, of a Phi3Model's first positions.

    Its own rotary_emb computes them, and chooses the RoPE factors by the last position.
    """
    like = model.embed_tokens.weight
    cos, sin = model.rotary_emb(like, torch.arange(length, device=like.device)[None])
    first, second = sin[0].chunk(2, dim=-1)
    # rotate_half negates the halves it swaps; negating their factors instead is the same
    return cos[0], torch.cat([-first, second], dim=-1)


def can_step(model: Any, input_ids: torch.Tensor, cache: Any) -> bool:
    """True if `step` gives what the model's forward pass would."""
    if input_ids.shape[1] != 1 or not isinstance(cache, GrowingCache):
        return False
    config = model.config
    return (
        cache.get_seq_length() > 0
        and not model.training
        and config._attn_implementation in ("sdpa", "flash_attention_2")
        and config.num_key_value_heads == config.num_attention_heads
        and config.rope_parameters.get("partial_rotary_factor", 1.0) == 1.0
    )


def step(
    model: Any,
    input_ids: torch.Tensor,
    layers: Sequence[Any],
    rotation: tuple[torch.Tensor, torch.Tensor],
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Run a Phi3Model over one more token, ids (B, 1), and append it to layers; return (B, 1, D).

    rotation is the token's cosine and signed sine, (1, E) each. mask, (1, 1, 1, L), is True for
    filled slots; None if all are.
    """
    hidden_states = model.embed_tokens(input_ids)  # (B, 1, D)
    for layer, cache_layer in zip(model.layers, layers, strict=True):
        attention = layer.self_attn
        states = project(attention.qkv_proj, normalize(layer.input_layernorm, hidden_states))
        attended = attend(attention, states, cache_layer, *rotation, mask)  # (B, 1, D)
        hidden_states = hidden_states + project(attention.o_proj, attended)
        mlp = layer.mlp
        opened = project(mlp.gate_up_proj, normalize(layer.post_attention_layernorm, hidden_states))
        gate, up = opened.chunk(2, dim=-1)
        hidden_states = hidden_states + project(mlp.down_proj, up * mlp.activation_fn(gate))
    return normalize(model.norm, hidden_states)


def attend(
    attention: Any,
    states: torch.Tensor,
    cache_layer: Any,
    cos: torch.Tensor,
    sin: torch.Tensor,
    mask: torch.Tensor | None,
) -> torch.Tensor:
    """One token's attention to itself and all tokens before it: (B, 1, 3HE) -> (B, 1, HE)."""
    rows, width = len(states), attention.head_dim
    states = states.view(rows, -1, 1, width)  # (B, 3H, 1, E)
    heads = states.shape[1] // 3
    rotated = states[:, : 2 * heads]  # queries and keys
    rotated.copy_(rotated * cos + rotated.roll(width // 2, dims=-1) * sin)
    keys, values = cache_layer.append(states[:, heads:])
    attended = functional.scaled_dot_product_attention(
        states[:, :heads], keys, values, mask, scale=attention.scaling
    )  # (B, H, 1, E)
    return attended.reshape(rows, 1, -1)


def normalize(norm: Any, hidden_states: torch.Tensor) -> torch.Tensor:
    """Apply a Phi3RMSNorm: in float32, rounded before the weight, as it does.

    rms_norm computes narrower types in float32 by itself; float64 it would not.
    """
    shape, dtype = hidden_states.shape[-1:], hidden_states.dtype
    narrow = hidden_states.float() if dtype == torch.float64 else hidden_states
    normalized = functional.rms_norm(narrow, shape, eps=norm.variance_epsilon)
    return norm.weight * normalized.to(dtype)


def project(linear: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """Apply a Linear to one token, (B, 1, D).

    In bfloat16 a CPU with AMX reads the weight faster as the matrix of a matrix-vector product,
    which needs no packing of it, than as the second factor of Linear's product.
    """
    is_vector = len(states) == 1 and states.device.type == "cpu" and states.dtype == torch.bfloat16
    is_fast = is_vector and has_fast_vector_products()
    if is_fast and type(linear) is nn.Linear and linear.bias is None:
        return torch.mv(linear.weight, states.view(-1)).view(1, 1, -1)
    return linear(states)


@cache
def has_fast_vector_products() -> bool:
    """True if torch.mv in bfloat16 is faster here than Linear: oneDNN's kernels for AMX.

    There it takes 0.5 to 0.8 of Linear's time, with AVX512-BF16 alone 1.6 to 2.6 times as long
    (`python -m benchmarks.decoding`).
    """
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16"))
