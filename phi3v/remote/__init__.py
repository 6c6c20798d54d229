"""An engine whose answers come from OpenAI-compatible servers; must not import torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
