"""How an engine calls generate: its configuration, and the threads of a CPU."""

from typing import Any

from transformers import GenerationConfig

from phi3v.model import Phi3VForCausalLM
from phi3v.request import Sampling

# A model of fewer parameters decodes faster on one thread of a CPU: a token's products are done
# before a second thread has started. Seen with the embedded checkpoint's sizes on two busy cores.
SMALL_MODEL_PARAMETERS = 50_000_000


def configure_generation(
    sampling: Sampling, stop_token_ids: list[int], tokenizer: Any
) -> GenerationConfig:
    """Return generate's configuration: greedy at a temperature of 0, without top_k otherwise."""
    is_random = sampling.temperature > 0
    return GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        do_sample=is_random,
        temperature=sampling.temperature if is_random else None,
        top_p=sampling.top_p if is_random else None,
        top_k=0 if is_random else None,
        eos_token_id=stop_token_ids,
        pad_token_id=tokenizer.pad_token_id,
    )


def decodes_on_one_thread(model: Phi3VForCausalLM) -> bool:
    """True if the model is so small that a second CPU thread slows its decoding down."""
    return model.device.type == "cpu" and model.num_parameters() < SMALL_MODEL_PARAMETERS
