"""Files and web addresses in: upright RGB images within limits; must not know models or pages."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
