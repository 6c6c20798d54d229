"""Phi-3-Vision without remote code; importing this registers it with transformers' Auto classes."""

import lazy_loader

from phi3v.model.registration import register_with_transformers

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_with_transformers()
