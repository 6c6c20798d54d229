"""Phi-3-Vision without remote code; importing this registers it with transformers' Auto classes."""

import sys

from phi3v.request import Chunk, Request, RequestError, Sampling, Statistics, Turn

# While Python looks for the package behind `-m`, this is what stands there: `python -m phi3v` must
# not take seconds for --help, and imports the engine itself once it needs one.
if sys.argv[:1] != ["-m"]:
    from phi3v.engine import Engine, GenerationError
    from phi3v.loading import load
    from phi3v.model import (
        Phi3VConfig,
        Phi3VForCausalLM,
        Phi3VImageProcessor,
        Phi3VProcessor,
    )

__all__ = [
    "Chunk",
    "Engine",
    "GenerationError",
    "Phi3VConfig",
    "Phi3VForCausalLM",
    "Phi3VImageProcessor",
    "Phi3VProcessor",
    "Request",
    "RequestError",
    "Sampling",
    "Statistics",
    "Turn",
    "load",
]
