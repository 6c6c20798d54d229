"""Cancels a forward pass: a pre-hook on each layer raises once nobody waits for the answer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from phi3v.model import Phi3VForCausalLM


class Cancelled(Exception):
    """The reader stopped or left before the first token."""


@contextmanager
def cancel_between_layers(model: Phi3VForCausalLM, check: Callable[[], None]) -> Iterator[None]:
    """Call `check` before each layer that this thread runs; what it raises ends the forward pass.

    Single-token decoding bypasses the layers' hooks (see phi3v.model.decoding) and is not slowed.
    """
    this_thread = threading.get_ident()

    def run_check(*_: object) -> None:
        if threading.get_ident() == this_thread:  # another engine may share the model
            check()

    tower: Any = model.model.vision_embed_tokens.img_processor["vision_model"]
    with ExitStack() as hooks:
        for layer in (*tower.encoder.layers, *model.model.layers):
            hooks.callback(layer.register_forward_pre_hook(run_check).remove)
        yield
