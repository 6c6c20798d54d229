"""The Phi-3-V model: transformers' Phi3 decoder over text and images, with and without its head.

Module names are the published checkpoint's. Legend: B batch, T tokens, N images, M crops that hold
a picture, P patches per side of a crop (24), C vision width, D text width.
"""

from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    Phi3ForCausalLM,
)
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    BaseModelOutputWithPooling,
    CausalLMOutputWithPast,
)
from transformers.models.phi3.modeling_phi3 import Phi3Model
from transformers.utils import can_return_tuple

from .configuration import Phi3VConfig
from .decoding import GrowingCache, can_step, causal_suffix_mask, project
from .exporting import embed_images
from .image_embedding import Phi3VImageEmbedding
from .strict_loading import StrictLoading


class Phi3VModel(StrictLoading, Phi3Model):
    """Phi3Model whose `input_ids` may hold image slots (config.image_token_id)."""

    config_class = Phi3VConfig
    input_modalities = ("image", "text")

    # Some saved copies have the text embedding a second time, and CLIP's position buffer.
    _keys_to_ignore_on_load_unexpected = [
        r"vision_embed_tokens\.wte\.weight",
        r"embeddings\.position_ids",
    ]

    def __init__(self, config: Phi3VConfig) -> None:
        is_checkpointing = getattr(config, "gradient_checkpointing", False)
        super().__init__(config)  # consumes that field while there is no vision tower yet
        self.vision_embed_tokens = Phi3VImageEmbedding(config)
        if is_checkpointing:
            config.gradient_checkpointing = True
        self.post_init()

    @can_return_tuple
    def get_image_features(
        self, pixel_values: torch.Tensor, image_sizes: torch.Tensor, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """Each image's token features, a tuple of (tokens of the image, D), as `pooler_output`.

        last_hidden_state has the vision tower's states of the M crops that ran, (M, 1 + P*P, C).
        With output_hidden_states or output_attentions the output has those of all layers too, the
        last of which then runs for them alone.
        """
        embedding = self.vision_embed_tokens
        grids = embedding.find_grids(image_sizes)
        crops = embedding.select_crops(pixel_values, grids)
        vision = self.config.vision_config
        names = ("output_hidden_states", "output_attentions")
        wanted = {name: True for name in names if kwargs.get(name, getattr(vision, name, False))}
        tower_output = embedding.run_tower(crops, **wanted)
        states = tower_output.last_hidden_state
        return BaseModelOutputWithPooling(
            last_hidden_state=states,
            pooler_output=embedding.project_patches(states[:, 1:], grids),
            hidden_states=tower_output.hidden_states,
            attentions=tower_output.attentions,
        )

    def fill_image_slots(
        self,
        embeddings: torch.Tensor,
        slots: torch.Tensor,
        image_features: tuple[torch.Tensor, ...],
        is_continued: bool = False,
    ) -> torch.Tensor:
        """Write the images' features over the slots, (B, T) booleans, of (B, T, D) embeddings.

        With is_continued they continue a cached prefix, and the last features are theirs. Raises
        ValueError where slots and features differ in number.
        """
        features = torch.cat(image_features).to(embeddings)
        if is_continued:
            features = features[max(0, len(features) - int(slots.sum())) :]
        if slots.sum() != len(features):
            raise ValueError(
                f"The prompt has {int(slots.sum())} image slots and the images have "
                f"{len(features)} features; prepare both with one call of the processor."
            )
        return embeddings.masked_scatter(slots[..., None], features)

    def find_slots(self, input_ids: torch.Tensor | None, embeddings: torch.Tensor) -> torch.Tensor:
        """Return which tokens are image slots, (B, T): by id, else by the embedding (B, T, D)."""
        slot_id = self.config.image_token_id
        if input_ids is not None:
            return input_ids == slot_id
        slot = self.embed_tokens(torch.tensor(slot_id, device=embeddings.device))
        return (embeddings == slot.to(embeddings)).all(-1)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_sizes: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Run the decoder over ids (B, T) or their embeddings (B, T, D), with images.

        Images come as pixels or as encoded features: mm_encoder_outputs={"image":
        get_image_features(...)} replaces pixels. In embeddings their slots are where
        config.image_token_id is embedded. The other arguments are Phi3Model's. Raises ValueError
        for both ids and embeddings, and where slots and features differ in number.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give either input_ids or inputs_embeds: one of them, not both.")
        image = (mm_encoder_outputs or {}).get("image")
        if image is None and pixel_values is not None:
            if image_sizes is None:
                raise ValueError("pixel_values came without image_sizes; the processor gives both.")
            if torch.compiler.is_exporting():
                return super().forward(
                    inputs_embeds=embed_images(
                        self, input_ids, inputs_embeds, pixel_values, image_sizes
                    ),
                    **kwargs,
                )
            image = self.get_image_features(pixel_values, image_sizes, return_dict=True)
        if image is not None:
            if inputs_embeds is None:
                inputs_embeds = self.embed_tokens(input_ids)
            cache = kwargs.get("past_key_values")
            is_continued = cache is not None and cache.get_seq_length() > 0
            slots = self.find_slots(input_ids, inputs_embeds)
            features = image.pooler_output
            inputs_embeds = self.fill_image_slots(inputs_embeds, slots, features, is_continued)
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


class Phi3VForCausalLM(StrictLoading, Phi3ForCausalLM):
    """Phi-3-V with its language-model head, as published under the same name."""

    config_class = Phi3VConfig
    input_modalities = ("image", "text")

    def __init__(self, config: Phi3VConfig) -> None:
        super(Phi3ForCausalLM, self).__init__(config)  # its own version builds a Phi3Model
        self.model = Phi3VModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def get_image_features(
        self, pixel_values: torch.Tensor, image_sizes: torch.Tensor, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """As Phi3VModel.get_image_features."""
        features: BaseModelOutputWithPooling = self.model.get_image_features(
            pixel_values, image_sizes, **kwargs
        )
        return features

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
        inputs_embeds: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """As for every decoder, but recompute once when the text outgrows the short RoPE factors.

        Keys made with the short factors do not fit queries made with the long ones: the cache is
        reset and the whole text runs again, images included. input_ids (B, T) are the whole text,
        or with inputs_embeds perhaps only what was generated after those.
        """
        position_ids = kwargs.get("position_ids")  # of the whole text
        total = (input_ids if position_ids is None else position_ids).shape[-1]
        is_uncached = past_key_values is None and not kwargs.get("is_first_iteration")
        is_rerun = inputs_embeds is not None and is_uncached
        if self._outgrows_short_factors(total, past_key_values, attention_mask):
            past_key_values.reset()
            if left := past_key_values.get_seq_length():  # transformers before 5.23 zeroes only
                past_key_values.crop(-left)
            kwargs["next_sequence_length"] = None
            is_rerun = True
        elif not kwargs.get("is_first_iteration") and isinstance(past_key_values, GrowingCache):
            # Without padding, the last id and the cache are enough.
            return {"input_ids": input_ids[:, -1:], "past_key_values": past_key_values}
        if is_rerun:
            kwargs["is_first_iteration"] = True  # else images and embeddings would be dropped
            if inputs_embeds is not None:
                new_ids = input_ids[:, input_ids.shape[1] + inputs_embeds.shape[1] - total :]
                new = self.get_input_embeddings()(new_ids)
                inputs_embeds = torch.cat([inputs_embeds, new], dim=1)
        # Phi3ForCausalLM's own version drops the cache there, and the images with it.
        return super(Phi3ForCausalLM, self).prepare_inputs_for_generation(
            input_ids,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )

    def _outgrows_short_factors(
        self, total: int, past_key_values: Any, attention_mask: torch.Tensor | None
    ) -> bool:
        if getattr(past_key_values, "is_long", False):
            return False  # its keys were made with the long factors in the first place
        limit = self.config.original_max_position_embeddings
        cached = past_key_values.get_seq_length() if past_key_values is not None else 0
        if total <= limit or cached == 0:
            return False
        padding = 0
        if attention_mask is not None and attention_mask.ndim == 2:
            padding = total - int(attention_mask.sum(dim=1).max())
        return cached - padding <= limit < total - padding


AutoModel.register(Phi3VConfig, Phi3VModel)
AutoModelForMultimodalLM.register(Phi3VConfig, Phi3VForCausalLM)
AutoModelForCausalLM.register(Phi3VConfig, Phi3VForCausalLM)
AutoModelForImageTextToText.register(Phi3VConfig, Phi3VForCausalLM)
