"""How an engine calls generate: from images to tokens, its configuration, the threads of a CPU.

Knows one answer at a time; knows nothing of the queue and of failures.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, StoppingCriteriaList

from phi3v.inference.adapters import Adapters
from phi3v.inference.cancellation import cancel_between_layers
from phi3v.inference.image_preparation import PreparedImage
from phi3v.inference.logits_check import check_first_logits
from phi3v.inference.memory import read_peak, reset_peak
from phi3v.inference.prefix_cache import PrefixCache
from phi3v.inference.streaming import Answer
from phi3v.inference.vision_cache import VisionCache, as_encoder_outputs
from phi3v.model import Phi3VForCausalLM
from phi3v.request import Sampling

# A model of fewer parameters decodes faster on one thread of a CPU: a token's products are done
# before a second thread has started. Seen with the embedded checkpoint's sizes on two busy cores.
SMALL_MODEL_PARAMETERS = 50_000_000


def generate(
    answer: Answer,
    model: Phi3VForCausalLM,
    vision_cache: VisionCache,
    prefix_cache: PrefixCache,
    adapters: Adapters,
    name: str,
    count_token: Callable[[torch.Tensor, object], torch.Tensor],
) -> None:
    """Generate an answer, with vision features and the prompt's prefix from the caches.

    name is the checkpoint's in messages; count_token is called after each token as a stopping
    criterion. Raises Cancelled if the reader leaves before the first token.
    """
    images = take_images(answer)
    choose_adapter(answer.adapter, adapters, prefix_cache)
    if answer.config.do_sample:
        torch.manual_seed(answer.seed) if answer.seed is not None else torch.seed()
    if model.device.index is not None and model.device.type == "cuda":
        torch.cuda.set_device(model.device)  # streams and captures use the current device
    reset_peak(model.device)
    with (
        torch.inference_mode(),
        cancel_between_layers(model, answer.raise_if_cancelled),
        check_first_logits(model, name),
    ):
        features = vision_cache.encode(images, partial(answer.begin, "encoding"))
        key = prefix_cache.make_key(answer.input_ids, images, adapters.number(answer.adapter))
        del images  # their crops are not needed during decoding
        answer.begin("prefill")
        cache = prefix_cache.find(key)
        answer.reused_tokens = cache.get_seq_length()
        input_ids = answer.input_ids.to(model.device)
        sequence = model.generate(
            input_ids,
            attention_mask=torch.ones_like(input_ids),
            mm_encoder_outputs=as_encoder_outputs(features),
            past_key_values=cache,
            generation_config=answer.config,
            streamer=answer.streamer,
            **answer.logits_processors(),
            stopping_criteria=StoppingCriteriaList([count_token, answer]),
        )
        new_ids = sequence[0, len(key) :].cpu().numpy()
        prefix_cache.store(np.concatenate([key, new_ids]), cache)
    answer.peak_memory = read_peak(model.device)


def take_images(answer: Answer) -> tuple[PreparedImage, ...]:
    """Return the answer's prepared images, preparing those that no other thread has."""
    answer.raise_if_cancelled()
    while answer.images.prepare_next(partial(answer.begin, "preparing")):
        pass
    return answer.images.take()


def choose_adapter(name: str, adapters: Adapters, prefix_cache: PrefixCache) -> None:
    """Put an adapter into effect, or none for "", with the steps that were captured with it."""
    adapters.choose(name)
    if prefix_cache.captured_steps is not None:
        prefix_cache.captured_steps.adapter = name


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
