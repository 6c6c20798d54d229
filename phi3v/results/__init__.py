"""Turns answers into clean text, output formats and saved conversations.

Must not know the model or the app's page.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
