"""Small models of random weights, and a processor for them."""

import torch
from transformers import Phi3ForCausalLM, PreTrainedTokenizerFast

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
    # The seeds of tests were chosen for a head that is drawn before the model.
    head = Phi3ForCausalLM(config).lm_head
    model = Phi3VForCausalLM(config).eval()
    if not config.tie_word_embeddings:
        model.lm_head = head
    return model


class WrappedModel:
    """Delegates to a model; subclasses override some of it."""

    def __init__(self, model: Phi3VForCausalLM) -> None:
        self.model_behind = model

    def __getattr__(self, name):
        return getattr(self.model_behind, name)

    def eval(self):
        return self


def build_crossing_model(edge: int) -> Phi3VForCausalLM:
    """A random model whose RoPE factors change after `edge` tokens, sure of each token."""
    settings = {"original_max_position_embeddings": edge, "max_position_embeddings": 400}
    return build_random_model(build_processor(), seed=2, initializer_range=0.3, **settings)


def generate(model, cache, prompt: list[int], count: int) -> tuple[list[int], torch.Tensor]:
    """Ids of a prompt and what follows greedily, and the logits of each new one."""
    ids = torch.tensor([prompt], device=model.device)
    with torch.inference_mode():
        output = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=cache,
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=None,
            output_logits=True,
            return_dict_in_generate=True,
        )
    return output.sequences[0].tolist(), torch.stack(output.logits)
