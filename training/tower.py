"""The embedded model's vision tower under the published key names, for training.

B batch, T tokens, P patches, V vision width.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

PATCH = 14
GRID = 24  # patches per side of a frame
CELLS = GRID // 2  # image tokens per side of a frame
MEAN = (0.48145466, 0.4578275, 0.40821073)  # preprocessor_config.json of the published models
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Sizes:
    """Widths and depths of the model."""

    vocab_size: int
    vision_width: int = 256
    vision_mlp: int = 768
    vision_layers: int = 5  # the last one is in the files and unused, as in the published models
    vision_heads: int = 4
    text_width: int = 256
    text_mlp: int = 704
    text_layers: int = 4
    text_heads: int = 4
    rope_theta: float = 10000.0


def normalize(frames: Tensor) -> Tensor:
    """Normalize uint8 pixels (..., 3) by the image processor's mean and deviation."""
    mean, std = torch.tensor(MEAN, device=frames.device), torch.tensor(STD, device=frames.device)
    return (frames.float() / 255 - mean) / std


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute attention over (B, heads, T, head width); with the fused kernel only on a GPU."""
    if q.is_cuda:
        mask = None if mask is None else mask.to(q.dtype)
        return nn.functional.scaled_dot_product_attention(q, k, v, mask)
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
    if mask is not None:
        scores = scores + mask.to(scores.dtype)
    return torch.matmul(scores.softmax(-1).to(v.dtype), v)


class VisionAttention(nn.Module):
    """CLIP's self-attention."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, V) -> (B, T, V)."""
        split = (*x.shape[:2], self.heads, x.shape[2] // self.heads)
        q, k, v = (
            layer(x).view(split).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.out_proj(attend(q, k, v).transpose(1, 2).reshape(x.shape))


class VisionMlp(nn.Module):
    """CLIP's MLP."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, V) -> (B, T, V)."""
        hidden = self.fc1(x)
        return self.fc2(hidden * torch.sigmoid(1.702 * hidden))


class VisionLayer(nn.Module):
    """A pre-norm block of the vision tower."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        width = sizes.vision_width
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = VisionAttention(width, sizes.vision_heads)
        self.mlp = VisionMlp(width, sizes.vision_mlp)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, V) -> (B, T, V)."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


def rate_places(width: int) -> Tensor:
    """Return each sinusoid's angle per patch, fast ones first: (width / 4,)."""
    return math.pi / torch.logspace(math.log10(1.5), math.log10(GRID), width // 4)


def place_patches(width: int, amplitude: float = 2.0) -> Tensor:
    """Return sinusoids of row and column, (GRID * GRID, width), which encode neighbourhood.

    Channels: sines and cosines of the row, then of the column.
    """
    angles = torch.arange(GRID)[:, None] * rate_places(width)  # (GRID, width / 4)
    waves = torch.cat([angles.sin(), angles.cos()], 1)  # (GRID, width / 2)
    rows = waves[:, None].expand(GRID, GRID, -1)
    columns = waves[None].expand(GRID, GRID, -1)
    return amplitude * torch.cat([rows, columns], 2).flatten(0, 1)


def look_at_neighbours(attention: VisionAttention, offsets: tuple, gain: float = 1.4) -> None:
    """Initialize each head to attend to the patch at its (row, column) offset, as a convolution.

    Keys copy sinusoids of the fast half, queries the same ones rotated by the offset, so that
    their product is largest where the key's patch is at the offset.
    """
    width, quarter = attention.q_proj.in_features, attention.q_proj.in_features // 4
    head = width // attention.heads
    count = head // 4  # sinusoids of each kind in a head
    chosen = torch.arange(count) * max(1, quarter // 2 // count)
    rates = rate_places(width)[chosen]
    query, key = torch.zeros(width, width), torch.zeros(width, width)
    for number, offset in enumerate(offsets):
        for axis in (0, 1):
            sine = number * head + axis * 2 * count + torch.arange(count)
            cosine = sine + count
            from_sine = axis * 2 * quarter + chosen
            from_cosine = from_sine + quarter
            turn = rates * offset[axis]
            key[sine, from_sine] = key[cosine, from_cosine] = gain
            query[sine, from_sine] = query[cosine, from_cosine] = gain * turn.cos()
            query[sine, from_cosine], query[cosine, from_sine] = (
                gain * turn.sin(),
                -gain * turn.sin(),
            )
    attention.q_proj.weight.data.copy_(query)
    attention.k_proj.weight.data.copy_(key)
    nn.init.zeros_(attention.q_proj.bias)
    nn.init.zeros_(attention.k_proj.bias)


class VisionModel(nn.Module):
    """CLIP's vision tower up to its penultimate layer."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        width = sizes.vision_width
        self.embeddings = nn.Module()
        self.embeddings.class_embedding = nn.Parameter(torch.randn(width) * 0.02)
        self.embeddings.patch_embedding = nn.Conv2d(3, width, PATCH, PATCH, bias=False)
        self.embeddings.position_embedding = nn.Embedding(GRID * GRID + 1, width)
        nn.init.normal_(self.embeddings.patch_embedding.weight, std=0.03)
        nn.init.normal_(self.embeddings.position_embedding.weight, std=0.02)
        self.embeddings.position_embedding.weight.data[1:] += place_patches(width)
        self.pre_layrnorm = nn.LayerNorm(width)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(VisionLayer(sizes) for _ in range(sizes.vision_layers))
        self.post_layernorm = nn.LayerNorm(width)
        beside = ((0, -1), (0, 1), (-1, 0), (1, 0))
        diagonal = ((-1, -1), (-1, 1), (1, -1), (1, 1))
        for layer, offsets in zip(self.encoder.layers[:2], (beside, diagonal), strict=False):
            look_at_neighbours(layer.self_attn, offsets[: sizes.vision_heads])

    def forward(self, frames: Tensor, places: Tensor) -> Tensor:
        """Return features of the patches.

        Args:
            frames: (B, height, width, 3) uint8, whole frames or windows of them.
            places: (B, P) index of each patch in the frame's grid, row by row.

        Returns:
            (B, P, V)
        """
        batch, height, width, _ = frames.shape
        rows, columns = height // PATCH, width // PATCH
        pixels = (
            normalize(frames).view(batch, rows, PATCH, columns, PATCH, 3).permute(0, 1, 3, 5, 2, 4)
        )
        pixels = pixels.reshape(batch, rows * columns, 3 * PATCH * PATCH)
        weight = self.embeddings.patch_embedding.weight.flatten(1)
        x = nn.functional.linear(pixels, weight)  # (B, P, V)
        positions = self.embeddings.position_embedding.weight
        x = x + nn.functional.embedding(places + 1, positions)
        first = (self.embeddings.class_embedding + positions[0]).expand(batch, 1, -1)
        x = self.pre_layrnorm(torch.cat([first.to(x.dtype), x], 1))
        for layer in self.encoder.layers[:-1]:
            x = layer(x)
        return x[:, 1:]
