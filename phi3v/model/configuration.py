"""The configuration of Phi-3-V: Phi3Config plus the vision tower and the image slot's token id."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, CLIPVisionConfig, Phi3Config, PreTrainedConfig

# The published config.json names the tower "openai/clip-vit-large-patch14-336" without its fields.
# These are that checkpoint's; the code published with Phi-3-V has them hard-coded too.
CLIP_VIT_LARGE_PATCH14_336 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "projection_dim": 768,
}

# "<|image|>" in the published tokenizer. The published processor never writes it (it uses negative
# ids), so it is free to mark the positions that image features replace.
PUBLISHED_IMAGE_TOKEN_ID = 32044


@strict
class Phi3VConfig(Phi3Config):
    """Configuration of a Phi-3-V model, read from a published config.json as it is.

    vision_config holds CLIPVisionConfig fields; left out, the tower is ViT-L/14 at 336 px.
    image_token_id is the id that stands in every image slot of `input_ids`.

    Three of the published fields are not followed: `_attn_implementation` (the caller chooses),
    `sliding_window` (131,072 and 262,144 are longer than any context, and a sliding-window cache
    would cost memory for nothing), and the rope type "su" (transformers calls it "longrope").
    """

    model_type = "phi3_v"
    sub_configs = {"vision_config": CLIPVisionConfig}

    max_position_embeddings: int = 131072
    original_max_position_embeddings: int = 4096
    eos_token_id: int | list[int] | None = 2
    vision_config: dict | PreTrainedConfig | None = None
    image_token_id: int = PUBLISHED_IMAGE_TOKEN_ID

    def __post_init__(self, **kwargs: Any) -> None:
        # transformers' own field for the caller's choice is `attn_implementation`.
        kwargs.pop("_attn_implementation", None)
        self.sliding_window = None
        if self.vision_config is None:
            self.vision_config = CLIP_VIT_LARGE_PATCH14_336
        if isinstance(self.vision_config, dict):
            self.vision_config = CLIPVisionConfig(**self.vision_config)
        super().__post_init__(**kwargs)

    def convert_rope_params_to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Rename the rope type "su" to transformers' "longrope" before it is checked."""
        scaling = kwargs.get("rope_scaling") or self.rope_parameters
        if scaling and scaling.get("rope_type", scaling.get("type")) == "su":
            kwargs["rope_scaling"] = {
                "rope_type": "longrope",
                "short_factor": scaling["short_factor"],
                "long_factor": scaling["long_factor"],
                "factor": self.max_position_embeddings / self.original_max_position_embeddings,
            }
        return super().convert_rope_params_to_dict(**kwargs)


AutoConfig.register(Phi3VConfig.model_type, Phi3VConfig)
