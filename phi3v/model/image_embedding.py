"""From crops to image tokens: CLIP's vision tower, and the projector to the decoder's width.

Module names are the published checkpoint's. Legend: N images, M crops that hold a picture, K =
num_crops, P patches per side of a crop (24), S tokens per side (12), C vision width, D text width.
"""

from typing import Any

import torch
from torch import nn
from transformers import CLIPVisionModel
from transformers.modeling_outputs import BaseModelOutput

from .configuration import Phi3VConfig


def merge_patches(patches: torch.Tensor) -> torch.Tensor:
    """Join every 2 x 2 patches, channels in row-major order: (M, P*P, C) -> (M, S, S, 4C)."""
    count, positions, width = patches.shape
    side = round(positions**0.5) // 2
    cells = patches.view(count, side, 2, side, 2, width).permute(0, 1, 3, 2, 4, 5)
    return cells.reshape(count, side, side, 4 * width)  # (M, S, S, 4C)


class Phi3VImageEmbedding(nn.Module):
    """Vision tower, the separators between rows and crops, and the projector to text width."""

    def __init__(self, config: Phi3VConfig) -> None:
        super().__init__()
        vision: Any = config.vision_config
        self.crop_size = vision.image_size
        self.img_processor = nn.ModuleDict({"vision_model": CLIPVisionModel._from_config(vision)})
        self.glb_GN = nn.Parameter(torch.zeros(1, 1, 4 * vision.hidden_size))
        self.sub_GN = nn.Parameter(torch.zeros(1, 1, 1, 4 * vision.hidden_size))
        self.img_projection = nn.Sequential(
            nn.Linear(4 * vision.hidden_size, config.hidden_size),
            nn.GELU(),
            nn.Linear(config.hidden_size, config.hidden_size),
        )

    def run_tower(self, crops: torch.Tensor, **outputs: bool) -> BaseModelOutput:
        """Run the vision tower over crops, (M, 3, 336, 336); states (M, 1 + P*P, C).

        The states are those before its last layer, without final norm: the last layer, present in
        the checkpoint, runs only where `outputs` ask for output_hidden_states or output_attentions.
        """
        tower: Any = self.img_processor["vision_model"]
        if outputs:
            output = tower(crops, **{**outputs, "output_hidden_states": True})
            wants_states = outputs.get("output_hidden_states", False)
            return BaseModelOutput(
                last_hidden_state=output.hidden_states[-2],
                hidden_states=output.hidden_states if wants_states else None,
                attentions=output.attentions,
            )
        hidden_states = tower.pre_layrnorm(tower.embeddings(crops))  # (M, 1 + P*P, C)
        for layer in tower.encoder.layers[:-1]:
            hidden_states = layer(hidden_states, None)
        return BaseModelOutput(last_hidden_state=hidden_states)

    def encode_crops(self, crops: torch.Tensor) -> torch.Tensor:
        """Patch features of crops, (M, 3, 336, 336) -> (M, P*P, C), without class token."""
        return self.run_tower(crops).last_hidden_state[:, 1:]

    def add_newlines(self, feature_map: torch.Tensor) -> torch.Tensor:
        """End every row with the learned newline and flatten: (H, W, 4C) -> (H * (W+1), 4C)."""
        newlines = self.sub_GN[0].expand(feature_map.shape[0], 1, -1)
        return torch.cat([feature_map, newlines], dim=1).flatten(0, 1)

    def arrange_tokens(
        self, global_map: torch.Tensor, sub_maps: torch.Tensor, rows: int, columns: int
    ) -> torch.Tensor:
        """One image's token features before projection, (tokens, 4C): sub-crops, separator, global.

        global_map is (S, S, 4C), sub_maps (rows * columns, S, S, 4C) in row-major order.
        """
        _, side, _, width = sub_maps.shape
        tiled = sub_maps.view(rows, columns, side, side, width).transpose(1, 2)
        tiled = tiled.reshape(rows * side, columns * side, width)
        return torch.cat([self.add_newlines(tiled), self.glb_GN[0], self.add_newlines(global_map)])

    def find_grids(self, image_sizes: torch.Tensor) -> list[tuple[int, int]]:
        """Rows and columns of sub-crops of images whose [H, W] are image_sizes (N, 2)."""
        return [
            (height // self.crop_size, width // self.crop_size)
            for height, width in image_sizes.tolist()
        ]

    def select_crops(
        self, pixel_values: torch.Tensor, grids: list[tuple[int, int]]
    ) -> torch.Tensor:
        """The crops that hold a picture, (N, K + 1, 3, 336, 336) -> (M, 3, 336, 336).

        pixel_values is the processor's: global crop, sub-crops, zeros. The zeros never run. Where
        the grid is 1 x 1 the global crop is the sub-crop, and only one of them runs.
        """
        crops = torch.cat(
            [
                image[1:2] if grid == (1, 1) else image[: 1 + grid[0] * grid[1]]
                for image, grid in zip(pixel_values, grids, strict=True)
            ]
        )
        return crops.to(self.glb_GN.dtype)

    def project_patches(
        self, patches: torch.Tensor, grids: list[tuple[int, int]]
    ) -> tuple[torch.Tensor, ...]:
        """Token features of each image, (tokens of the image, D), of all patches (M, P*P, C)."""
        maps = merge_patches(patches)  # (M, S, S, 4C)
        maps_per_image = maps.split([1 if r * c == 1 else 1 + r * c for r, c in grids])
        tokens = [
            # the first is the global crop; the last r * c are the sub-crops, also of a 1 x 1 grid
            self.arrange_tokens(image_maps[0], image_maps[-rows * columns :], rows, columns)
            for image_maps, (rows, columns) in zip(maps_per_image, grids, strict=True)
        ]
        return self.img_projection(torch.cat(tokens)).split([len(image) for image in tokens])

    def forward(
        self, pixel_values: torch.Tensor, image_sizes: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Token features of each image, (tokens of the image, D); see select_crops."""
        grids = self.find_grids(image_sizes)
        crops = self.select_crops(pixel_values, grids)
        return self.project_patches(self.encode_crops(crops), grids)
