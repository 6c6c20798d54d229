"""Small models of random weights, and a processor for them."""

import torch
from transformers import PreTrainedTokenizerFast

from phi3v import Phi3VConfig, Phi3VForCausalLM, Phi3VImageProcessor, Phi3VProcessor
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER


def build_processor() -> Phi3VProcessor:
    """Build a processor of the embedded checkpoint's tokenizer and the published image settings."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(EMBEDDED_FOLDER)
    return Phi3VProcessor(Phi3VImageProcessor(), tokenizer)


def build_random_model(processor: Phi3VProcessor, seed: int, **settings) -> Phi3VForCausalLM:
    """Build a small model of random weights, which almost never generates a stop token."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    vision = {**sizes, "num_hidden_layers": 2, "image_size": 336, "patch_size": 14}
    config = Phi3VConfig(
        **sizes,
        num_hidden_layers=2,
        num_key_value_heads=2,
        vocab_size=len(processor.tokenizer),
        pad_token_id=processor.tokenizer.pad_token_id,
        image_token_id=processor.image_token_id,
        rope_scaling={"type": "su", "short_factor": [1.0] * 8, "long_factor": [3.0] * 8},
        vision_config=vision,
        **settings,
    )
    return Phi3VForCausalLM(config).eval()


class WrappedModel:
    """Delegates to a model; subclasses override some of it."""

    def __init__(self, model: Phi3VForCausalLM) -> None:
        self.model_behind = model

    def __getattr__(self, name):
        return getattr(self.model_behind, name)

    def eval(self):
        return self
