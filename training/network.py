"""The embedded model under the published key names, for training.

B batch, T tokens, P patches, C cells (2x2 patches), V vision width, D text width.

On a CPU attention is plain matrix products instead of the fused kernel: their backward pass is
faster, and bfloat16 products run on the processor's matrix units where it has them. The app loads
the exported weights into its own classes; a test compares the logits of both.
"""

import torch
from torch import Tensor, nn

from training.tower import Sizes, VisionModel, attend

POINTING_HEAD = 0  # the attention head that is trained by pointing.py's targets
RARE = -3.0  # bias of the cell-naming logits: most names are absent from most cells


class ImageEmbedding(nn.Module):
    """Vision tower, 2x2 merge, separators, projector."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        merged = 4 * sizes.vision_width
        self.glb_GN = nn.Parameter(torch.zeros(1, 1, merged))
        self.sub_GN = nn.Parameter(torch.zeros(1, 1, 1, merged))
        self.img_processor = nn.Module()
        self.img_processor.vision_model = VisionModel(sizes)
        self.img_projection = nn.Sequential(
            nn.Linear(merged, sizes.text_width),
            nn.GELU(),
            nn.Linear(sizes.text_width, sizes.text_width),
        )

    def encode_cells(self, frames: Tensor, places: Tensor) -> Tensor:
        """Return merged features of cells, (B, rows, columns, 4V); see `VisionModel.forward`."""
        features = self.img_processor.vision_model(frames, places)  # (B, P, V)
        batch, rows, columns = frames.shape[0], frames.shape[1] // 28, frames.shape[2] // 28
        features = features.view(batch, rows, 2, columns, 2, -1).permute(0, 1, 3, 2, 4, 5)
        return features.reshape(batch, rows, columns, -1)

    def project_pictures(self, cells: Tensor, columns: int, subs: int) -> tuple[Tensor, Tensor]:
        """Return image tokens of pictures from the cells of their frames, (N, rows, 12, 4V).

        `subs` of a picture's frames are sub-crops, in rows of `columns`; the global one follows,
        except that a single sub-crop also serves as the global crop.

        Returns:
            (pictures, T, D), and the cells' own projections (N, rows * 12, D).
        """
        projected = self.img_projection(cells)  # (N, rows, 12, D)
        newline = self.img_projection(self.sub_GN.flatten().to(cells.dtype))
        separator = self.img_projection(self.glb_GN.flatten().to(cells.dtype))
        tokens = arrange_cells(projected, newline, separator, columns, subs)
        return tokens, projected.flatten(1, 2)


def arrange_cells(
    cells: Tensor, newline: Tensor, separator: Tensor, columns: int, subs: int
) -> Tensor:
    """Arrange values of cells, (N, rows, 12, X), in the order of image tokens: (pictures, T, X).

    Args:
        cells: of pictures' frames, in the order of `ImageEmbedding.project_pictures`.
        newline: (X,), appended to every row.
        separator: (X,), inserted between the sub-crops and the global one.
        columns: sub-crops in a row.
        subs: sub-crops of a picture.
    """
    frames, height, width, _ = cells.shape

    def end_rows(rows: Tensor) -> Tensor:
        """(pictures, R, C, X) -> (pictures, R * (C + 1), X)."""
        ends = newline.expand(*rows.shape[:2], 1, -1)
        return torch.cat([rows, ends], 2).flatten(1, 2)

    count = subs if subs == 1 and columns == 1 else subs + 1
    pictures = cells.unflatten(0, (frames // count, count))
    sub = pictures[:, :subs].unflatten(1, (subs // columns, columns)).transpose(2, 3)
    sub = sub.reshape(len(pictures), subs // columns * height, columns * width, -1)
    between = separator.expand(len(pictures), 1, -1)
    return torch.cat([end_rows(sub), between, end_rows(pictures[:, -1])], 1)


class RmsNorm(nn.Module):
    """Root-mean-square norm, epsilon 1e-5."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Apply rotary positions to queries or keys (..., T, head width)."""
    left, right = x.chunk(2, -1)
    return (x * cosine + torch.cat([-right, left], -1) * sine).to(x.dtype)


class TextAttention(nn.Module):
    """Phi-3's self-attention: one fused projection, rotary positions."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv_proj = nn.Linear(width, 3 * width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor, start: int) -> Tensor:
        """(B, T, D) -> (B, T - start, D): the outputs from position `start` on."""
        batch, length, width = x.shape
        qkv = self.qkv_proj(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q = rotate(q[:, :, start:], cosine[start:], sine[start:])
        o = attend(q, rotate(k, cosine, sine), v, mask[start:])
        return self.o_proj(o.transpose(1, 2).reshape(batch, length - start, width))

    def look(
        self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor, start: int, head: int
    ) -> Tensor:
        """Return one head's log attention, (B, T - start, T), from position `start` on."""
        weight = self.qkv_proj.weight.view(3, self.heads, -1, x.shape[-1])
        q = rotate(x[:, start:] @ weight[0, head].T, cosine[start:], sine[start:])
        k = rotate(x @ weight[1, head].T, cosine, sine)
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        return (scores.float() + mask[start:]).log_softmax(-1)


class TextMlp(nn.Module):
    """Phi-3's gated MLP."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.gate_up_proj = nn.Linear(width, 2 * hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        gate, up = self.gate_up_proj(x).chunk(2, -1)
        return self.down_proj(up * nn.functional.silu(gate))


class TextLayer(nn.Module):
    """A pre-norm block of the decoder."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.input_layernorm = RmsNorm(sizes.text_width)
        self.post_attention_layernorm = RmsNorm(sizes.text_width)
        self.self_attn = TextAttention(sizes.text_width, sizes.text_heads)
        self.mlp = TextMlp(sizes.text_width, sizes.text_mlp)

    def forward(
        self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor, start: int = 0
    ) -> Tensor:
        """(B, T, D) -> (B, T - start, D)."""
        attended = self.self_attn(self.input_layernorm(x), cosine, sine, mask, start)
        x = x[:, start:] + attended
        return x + self.mlp(self.post_attention_layernorm(x))


class Network(nn.Module):
    """All modules that are exported; parameter names are the published ones."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(sizes.vocab_size, sizes.text_width)
        self.model.vision_embed_tokens = ImageEmbedding(sizes)
        self.model.layers = nn.ModuleList(TextLayer(sizes) for _ in range(sizes.text_layers))
        self.model.norm = RmsNorm(sizes.text_width)
        nn.init.normal_(self.model.embed_tokens.weight, std=sizes.text_width**-0.5)
        for name, weight in self.named_parameters():
            if name.endswith(
                ("o_proj.weight", "down_proj.weight", "out_proj.weight", "fc2.weight")
            ):
                weight.data.mul_(0.3)  # residual branches start small

    @property
    def images(self) -> ImageEmbedding:
        """The vision tower and its projector."""
        return self.model.vision_embed_tokens

    def decode(self, embeds: Tensor, start: int = 0) -> tuple[Tensor, list[Tensor]]:
        """Return last hidden states (B, T - start, D) from position `start` on, and attention.

        Rows are padded on the right, where causal attention never reaches: no padding mask.

        Returns:
            the states, and log attention of one head, (B, T - start, T), in each of three layers:
            before the middle, after it, and the last. Each can build on what an earlier one found.
        """
        _, length, width = embeds.shape
        device = embeds.device
        half = width // self.sizes.text_heads // 2
        rates = self.sizes.rope_theta ** (-torch.arange(half, device=device) / half)
        angles = torch.arange(length, device=device)[:, None] * rates
        angles = torch.cat([angles, angles], 1)  # (T, head width)
        cosine, sine = angles.cos(), angles.sin()
        future = torch.ones(length, length, device=device, dtype=torch.bool).triu(1)
        mask = torch.zeros(length, length, device=device).masked_fill(future, -1e4)
        last = len(self.model.layers) - 1
        middle = len(self.model.layers) // 2
        pointing_layers = (max(0, middle - 1), middle, last)
        attention = {}
        for number, layer in enumerate(self.model.layers):
            if number in pointing_layers:
                x = layer.input_layernorm(embeds)
                look = layer.self_attn.look(x, cosine, sine, mask, start, POINTING_HEAD)
                attention[number] = look
            # Labels begin at `start`: nothing reads the last layer's outputs before it.
            embeds = layer(embeds, cosine, sine, mask, start if number == last else 0)
        return self.model.norm(embeds), [attention[number] for number in pointing_layers]
