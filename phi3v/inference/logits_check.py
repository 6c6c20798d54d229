"""Checks that a model computes numbers: weights of NaN load like any others."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from phi3v.conversation.engine_protocol import BrokenWeightsError
from phi3v.model import Phi3VForCausalLM
from phi3v.translatable import Text


@contextmanager
def check_first_logits(model: Phi3VForCausalLM, name: str) -> Iterator[None]:
    """Look at the first logits that this thread computes within the context.

    They depend on all weights that an answer needs, so later ones need no look. Raises
    BrokenWeightsError, which calls the model by `name`, if they are not all numbers.
    """
    this_thread = threading.get_ident()

    def check(module: object, inputs: object, logits: torch.Tensor) -> None:
        if threading.get_ident() != this_thread:  # another engine may share the model
            return
        hook.remove()
        if not bool(torch.isfinite(logits).all()):
            text = Text(
                "The weights of {name} are damaged: the model computes values that are no numbers "
                "(NaN). Get its files again, try --dtype float32, or name another checkpoint.",
                name=name,
            )
            raise BrokenWeightsError(text)

    hook = model.lm_head.register_forward_hook(check)
    try:
        yield
    finally:
        hook.remove()
