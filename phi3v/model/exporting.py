"""Fills image slots for torch.export, whose shapes must not depend on the values of tensors.

Each slot's feature is found by arithmetic on its number, so that all crops run, also those that
hold no picture. Legend: B batch, T tokens, N images, K = num_crops, S tokens per side of a crop
(12), D text width.
"""

from typing import Any

import torch
from transformers.utils.import_utils import torch_compilable_check

from .crops import TOKENS_PER_SIDE, count_image_tokens
from .image_embedding import merge_patches

# Rows of project_all, counted from its end.
NEWLINE, SEPARATOR = -1, -2


def embed_images(
    model: Any,
    input_ids: torch.Tensor | None,
    inputs_embeds: torch.Tensor | None,
    pixel_values: torch.Tensor,
    image_sizes: torch.Tensor,
) -> torch.Tensor:
    """Embed ids (B, T), unless they are embedded, with images in their slots: (B, T, D).

    model is a Phi3VModel, pixel_values (N, K + 1, 3, 336, 336) and image_sizes (N, 2) are the
    processor's.
    """
    embeddings = model.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
    slots = model.find_slots(input_ids, embeddings)  # (B, T)
    number = slots.flatten().long().cumsum(0) - 1  # (B*T,), of the slot
    rows, columns = (image_sizes // model.vision_embed_tokens.crop_size).unbind(1)  # (N,)
    counts: Any = count_image_tokens(rows, columns)
    ends = counts.cumsum(0)  # (N,)
    torch_compilable_check(
        slots.sum() == ends[-1], "The image slots and the images' features differ in number."
    )
    table = project_all(model.vision_embed_tokens, pixel_values)
    image = torch.searchsorted(ends, number, right=True).clamp(max=len(ends) - 1)
    token = number - torch.cat([ends.new_zeros(1), ends])[image]  # of the image
    first_crop = image * pixel_values.shape[1]
    index = find_feature(token, rows[image], columns[image], first_crop)
    # counted from the table's end: newline and separator
    index = torch.where(index < 0, len(table) + index, index).clamp(0, len(table) - 1)
    features = table[index].view_as(embeddings).to(embeddings)
    return torch.where(slots[..., None], features, embeddings)


def project_all(embedding: Any, pixel_values: torch.Tensor) -> torch.Tensor:
    """Return the projected features of all crops' tokens, of the separator and of the newline.

    That is (N * (K + 1) * S * S + 2, D).
    """
    crops = pixel_values.flatten(0, 1).to(embedding.glb_GN.dtype)  # (N*(K+1), 3, 336, 336)
    tokens = merge_patches(embedding.encode_crops(crops)).flatten(0, 2)  # (N*(K+1)*S*S, 4C)
    ends = [end.view(1, -1) for end in (embedding.glb_GN, embedding.sub_GN)]
    features: torch.Tensor = embedding.img_projection(torch.cat([tokens, *ends]))
    return features


def find_feature(
    token: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, first_crop: torch.Tensor
) -> torch.Tensor:
    """Return the row of project_all for each token, numbered within its image.

    rows and columns are of the image's grid, first_crop is the number of its global crop. In order
    an image has its sub-crops' rows of tokens, each with a newline, the separator, and the global
    crop's rows.
    """
    side = TOKENS_PER_SIDE
    before_global = rows * side * (columns * side + 1)
    is_global = token > before_global
    width = torch.where(is_global, side, columns * side)  # of a row of tokens, without newline
    place = torch.where(is_global, token - before_global - 1, token)
    row, column = place // (width + 1), place % (width + 1)
    crop = torch.where(is_global, 0, 1 + row // side * columns + column // side)
    index = ((first_crop + crop) * side + row % side) * side + column % side
    index = torch.where(column == width, NEWLINE, index)
    return torch.where(token == before_global, SEPARATOR, index)
