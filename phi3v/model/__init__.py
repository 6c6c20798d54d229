"""Phi-3-V in Hugging Face's conventions; must not know anything else of phi3v."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
