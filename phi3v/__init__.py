"""Phi-3-Vision without remote code; importing this registers it with transformers' Auto classes."""

from phi3v.engine import Engine, GenerationError, load
from phi3v.model import (
    Phi3VConfig,
    Phi3VForCausalLM,
    Phi3VImageProcessor,
    Phi3VProcessor,
)
from phi3v.request import Chunk, Request, RequestError, Sampling, Statistics, Turn

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
