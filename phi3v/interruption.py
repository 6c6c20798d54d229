"""How a network's work ends in the middle: each layer looks first whether it is still wanted."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from phi3v.model import Phi3VForCausalLM


class Interrupted(Exception):
    """Nobody waits any more for an answer that has no token yet."""


@contextmanager
def checking_layers(model: Phi3VForCausalLM, check: Callable[[], None]) -> Iterator[None]:
    """Call check before each layer that this thread runs; what it raises ends the network's work.

    Decoding token by token goes past the layers (see phi3v.model.decoding), and so is not slowed.
    """
    mine = threading.get_ident()

    def look(*_: object) -> None:
        if threading.get_ident() == mine:  # another engine may share the network
            check()

    tower: Any = model.model.vision_embed_tokens.img_processor["vision_model"]
    with ExitStack() as hooks:
        for layer in (*tower.encoder.layers, *model.model.layers):
            hooks.callback(layer.register_forward_pre_hook(look).remove)
        yield
