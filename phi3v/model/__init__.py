"""The network in Hugging Face's conventions; importing it registers it with the Auto classes."""

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
)

from .configuration import Phi3VConfig
from .image_processing import Phi3VImageProcessor
from .modeling import Phi3VForCausalLM, Phi3VModel
from .processing import Phi3VProcessor

AutoConfig.register(Phi3VConfig.model_type, Phi3VConfig)
AutoImageProcessor.register(
    Phi3VConfig,
    # One class on both names: it needs no torchvision, whichever backend is asked for.
    image_processor_classes={"pil": Phi3VImageProcessor, "torchvision": Phi3VImageProcessor},
)
AutoProcessor.register(Phi3VConfig, Phi3VProcessor)
AutoModelForCausalLM.register(Phi3VConfig, Phi3VForCausalLM)
AutoModelForImageTextToText.register(Phi3VConfig, Phi3VForCausalLM)

__all__ = [
    "Phi3VConfig",
    "Phi3VForCausalLM",
    "Phi3VImageProcessor",
    "Phi3VModel",
    "Phi3VProcessor",
]
