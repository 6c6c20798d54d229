"""The Phi-3-V model: transformers' Phi3 decoder and CLIP vision tower, and what joins them.

Module names are the published checkpoint's. Legend: B batch, T tokens, N images, M crops that hold
a picture, K = num_crops, P patches per side of a crop (24), S tokens per side (12), C vision
width, D text width.
"""

from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    CLIPVisionModel,
    Phi3ForCausalLM,
)
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    BaseModelOutputWithPooling,
    CausalLMOutputWithPast,
)
from transformers.models.phi3.modeling_phi3 import Phi3Model

from .configuration import Phi3VConfig
from .decoding import GrowingCache, can_step, causal_suffix_mask, project


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

    def encode_crops(self, crops: torch.Tensor) -> torch.Tensor:
        """Patch features of crops, (M, 3, 336, 336) -> (M, P*P, C).

        These are the tower's states before its last layer, without class token and final norm: the
        last layer, present in the checkpoint, never runs.
        """
        tower: Any = self.img_processor["vision_model"]
        hidden_states = tower.pre_layrnorm(tower.embeddings(crops))  # (M, 1 + P*P, C)
        for layer in tower.encoder.layers[:-1]:
            hidden_states = layer(hidden_states, None)
        return hidden_states[:, 1:]

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

    def forward(
        self, pixel_values: torch.Tensor, image_sizes: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Token features of each image, (tokens of the image, D).

        pixel_values (N, K + 1, 3, 336, 336) is the processor's: global crop, sub-crops, zeros;
        image_sizes (N, 2) tells by [H, W] how many sub-crops there are. The zeros never run. Where
        the grid is 1 x 1 the global crop is the sub-crop, and only one of them runs.
        """
        grids = [
            (height // self.crop_size, width // self.crop_size)
            for height, width in image_sizes.tolist()
        ]
        crops = torch.cat(
            [
                image[1:2] if grid == (1, 1) else image[: 1 + grid[0] * grid[1]]
                for image, grid in zip(pixel_values, grids, strict=True)
            ]
        )  # (M, 3, 336, 336)
        maps = merge_patches(self.encode_crops(crops.to(self.glb_GN.dtype)))  # (M, S, S, 4C)
        maps_per_image = maps.split([1 if r * c == 1 else 1 + r * c for r, c in grids])
        tokens = [
            # the first is the global crop; the last r * c are the sub-crops, also of a 1 x 1 grid
            self.arrange_tokens(image_maps[0], image_maps[-rows * columns :], rows, columns)
            for image_maps, (rows, columns) in zip(maps_per_image, grids, strict=True)
        ]
        return self.img_projection(torch.cat(tokens)).split([len(image) for image in tokens])


class Phi3VModel(Phi3Model):
    """Phi3Model whose `input_ids` may hold image slots (config.image_token_id)."""

    config_class = Phi3VConfig
    input_modalities = ("image", "text")

    def __init__(self, config: Phi3VConfig) -> None:
        super().__init__(config)
        self.vision_embed_tokens = Phi3VImageEmbedding(config)
        self.post_init()

    def get_image_features(
        self, pixel_values: torch.Tensor, image_sizes: torch.Tensor, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """Each image's token features, a tuple of (tokens of the image, D), as `pooler_output`."""
        return BaseModelOutputWithPooling(
            pooler_output=self.vision_embed_tokens(pixel_values, image_sizes)
        )

    def fill_image_slots(
        self,
        input_ids: torch.Tensor,
        image_features: tuple[torch.Tensor, ...],
        is_continued: bool = False,
    ) -> torch.Tensor:
        """Embed (B, T) ids, writing the images' features over the slots in order: (B, T, D).

        With is_continued the ids continue a cached prefix, and the last features are theirs.
        Raises ValueError where slots and features differ in number.
        """
        embeddings = self.embed_tokens(input_ids)
        slots = input_ids == self.config.image_token_id  # (B, T)
        features = torch.cat(image_features).to(embeddings)
        if is_continued:
            features = features[max(0, len(features) - int(slots.sum())) :]
        if slots.sum() != len(features):
            raise ValueError(
                f"The prompt has {int(slots.sum())} image slots and the images have "
                f"{len(features)} features; prepare both with one call of the processor."
            )
        return embeddings.masked_scatter(slots[..., None], features)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_sizes: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Run the decoder over ids (B, T) with images, as pixels or as encoded features.

        mm_encoder_outputs={"image": get_image_features(...)} replaces pixels that were encoded
        before. The other arguments are Phi3Model's.
        """
        image = (mm_encoder_outputs or {}).get("image")
        if image is None and pixel_values is not None:
            if image_sizes is None:
                raise ValueError("pixel_values came without image_sizes; the processor gives both.")
            image = self.get_image_features(pixel_values, image_sizes)
        if image is not None and input_ids is not None:
            cache = kwargs.get("past_key_values")
            is_continued = cache is not None and cache.get_seq_length() > 0
            inputs_embeds = self.fill_image_slots(input_ids, image.pooler_output, is_continued)
        self._keep_fast_attention(input_ids if inputs_embeds is None else inputs_embeds, kwargs)
        return super().forward(
            input_ids=None if inputs_embeds is not None else input_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )

    def _keep_fast_attention(self, inputs: torch.Tensor | None, kwargs: dict[str, Any]) -> None:
        """Replace the mask of a prompt behind a cached prefix by one that keeps fast kernels."""
        cache = kwargs.get("past_key_values")
        if inputs is None or inputs.device.type != "cuda" or not isinstance(cache, GrowingCache):
            return
        cached, count = cache.get_seq_length(), inputs.shape[1]
        if cached > 0 and count > 1 and self.config._attn_implementation == "sdpa":
            kwargs["attention_mask"] = causal_suffix_mask(count, cached + count)


class Phi3VForCausalLM(Phi3ForCausalLM):
    """Phi-3-V with its language-model head, as published under the same name."""

    config_class = Phi3VConfig
    input_modalities = ("image", "text")
    # Some saved copies have the text embedding a second time, and CLIP's position buffer.
    _keys_to_ignore_on_load_unexpected = [
        r"vision_embed_tokens\.wte\.weight",
        r"embeddings\.position_ids",
    ]

    def __init__(self, config: Phi3VConfig) -> None:
        super().__init__(config)
        self.model = Phi3VModel(config)
        self.post_init()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint from safetensors; as PreTrainedModel.from_pretrained, but strict.

        Raises ValueError naming the tensors that are missing, unexpected or of another shape, and
        for use_safetensors=False: pickled weights can run code.
        """
        if kwargs.pop("use_safetensors", None) is False:
            raise ValueError("Pickled weights can run code; only safetensors files are loaded.")
        # The published scripts pass the attribute's private name.
        if "_attn_implementation" in kwargs:
            kwargs.setdefault("attn_implementation", kwargs.pop("_attn_implementation"))
        wants_info = kwargs.pop("output_loading_info", False)
        info: dict[str, Any]
        model, info = super().from_pretrained(
            *args, **kwargs, use_safetensors=True, output_loading_info=True
        )
        problems = [
            f"{kind.removesuffix('_keys')}: {', '.join(sorted(str(key) for key in info[kind]))}"
            for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
            if info[kind]
        ]
        if problems:
            raise ValueError(f"The checkpoint does not fit Phi-3-V. {'; '.join(problems)}")
        return (model, info) if wants_info else model

    def forward(  # generate reads from this signature which arguments to pass
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_sizes: torch.Tensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits (B, T, vocabulary) for ids (B, T); images as Phi3VModel.forward takes them."""
        others = (attention_mask, inputs_embeds, pixel_values, mm_encoder_outputs, labels)
        is_plain = all(other is None for other in others)
        if input_ids is not None and is_plain and can_step(self.model, input_ids, past_key_values):
            logits = project(self.lm_head, past_key_values.step(self.model, input_ids))
            return CausalLMOutputWithPast(logits=logits, past_key_values=past_key_values)
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            pixel_values=pixel_values,
            image_sizes=image_sizes,
            mm_encoder_outputs=mm_encoder_outputs,
            labels=labels,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.Tensor,
        past_key_values: Any = None,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """As for every decoder, but recompute once when the text outgrows the short RoPE factors.

        Keys made with the short factors do not fit queries made with the long ones: the cache is
        reset and the whole text runs again, images included.
        """
        if self._outgrows_short_factors(input_ids, past_key_values, attention_mask):
            past_key_values.reset()
            if left := past_key_values.get_seq_length():  # transformers before 5.23 zeroes only
                past_key_values.crop(-left)
            kwargs["next_sequence_length"] = None
            kwargs["is_first_iteration"] = True  # else the images would be dropped
        elif not kwargs.get("is_first_iteration") and isinstance(past_key_values, GrowingCache):
            # Without padding, the last id and the cache are enough.
            return {"input_ids": input_ids[:, -1:], "past_key_values": past_key_values}
        # Phi3ForCausalLM's own version drops the cache there, and the images with it.
        return super(Phi3ForCausalLM, self).prepare_inputs_for_generation(
            input_ids,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            **kwargs,
        )

    def _outgrows_short_factors(
        self,
        input_ids: torch.Tensor,
        past_key_values: Any,
        attention_mask: torch.Tensor | None,
    ) -> bool:
        if getattr(past_key_values, "is_long", False):
            return False  # its keys were made with the long factors in the first place
        limit = self.config.original_max_position_embeddings
        total = input_ids.shape[1]
        cached = past_key_values.get_seq_length() if past_key_values is not None else 0
        if total <= limit or cached == 0:
            return False
        padding = 0
        if attention_mask is not None and attention_mask.ndim == 2:
            padding = total - int(attention_mask.sum(dim=1).max())
        return cached - padding <= limit < total - padding


AutoModelForCausalLM.register(Phi3VConfig, Phi3VForCausalLM)
AutoModelForImageTextToText.register(Phi3VConfig, Phi3VForCausalLM)
