"""What the stages share: device, time, and engines of random weights with load's budgets."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import torch
from transformers import AutoProcessor

from benchmarks.gpu.measuring import measure_bandwidth
from benchmarks.models import build_model, build_real_shape
from phi3v import Engine, Phi3VConfig, Phi3VForCausalLM, Phi3VProcessor
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.inference.hardware import choose_attention
from phi3v.inference.loading import build_engine
from phi3v.inference.memory import free_unused
from phi3v.model.configuration import CLIP_VIT_LARGE_PATCH14_336

PUBLISHED_LAYERS = 32
UNLIMITED = 10**9  # tokens, before the tokenizer warns
COPIED_BYTES = {"cuda": 2**30, "cpu": 2**26}
# Of the exact model: few, so that float32 fits beside the full model; widths are the published.
EXACT_LAYERS, EXACT_VISION_LAYERS = 2, 4


@dataclass(frozen=True)
class Weights:
    """A model with its processor; several engines may answer with it."""

    model: Phi3VForCausalLM
    processor: Phi3VProcessor
    name: str

    @property
    def nbytes(self) -> int:
        """Bytes of its parameters."""
        return sum(weight.nbytes for weight in self.model.parameters())


@dataclass
class Context:
    """One run: where it computes, until when, and models that are built when first needed.

    `small` replaces the published sizes by tiny ones, for trials. deadline is of time.monotonic.
    """

    device: torch.device
    dtype: torch.dtype
    layers: int = PUBLISHED_LAYERS
    small: bool = False
    deadline: float = float("inf")
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def __post_init__(self) -> None:
        # "cuda" and "cuda:0" are one card, and models name it by its number.
        if self.device.type == "cuda" and self.device.index is None:
            self.device = torch.device("cuda", torch.cuda.current_device())

    @property
    def is_cuda(self) -> bool:
        """True on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def is_real(self) -> bool:
        """True if figures are those of the published sizes on a GPU, so that limits hold."""
        return self.is_cuda and not self.small and self.layers == PUBLISHED_LAYERS

    @property
    def is_quick(self) -> bool:
        """True unless published sizes run on a CPU, where only the cheapest cases are tried."""
        return self.is_cuda or self.small

    def seconds_left(self) -> float:
        """Return the seconds until the whole run must end."""
        return self.deadline - time.monotonic()

    @cached_property
    def bandwidth(self) -> float:
        """The device's bytes/s in copies, read plus written."""
        return measure_bandwidth(self.device, COPIED_BYTES[self.device.type])

    @cached_property
    def full(self) -> Weights:
        """The published sizes, with so many decoder layers, in the run's number format."""
        if self.small:
            return build_small(self.device, self.dtype)
        built = build_real_shape(self.layers, self.device, self.dtype)
        built.processor.tokenizer.model_max_length = UNLIMITED
        built.model.set_attn_implementation(choose_attention(self.device, self.dtype, "auto"))
        return Weights(built.model, built.processor, built.name)

    @cached_property
    def exact(self) -> Weights:
        """Few layers in float32: ways to compute the same differ too little to change a token."""
        if self.small:
            return build_small(self.device, torch.float32)
        return build_random(self.device, torch.float32, head_width=96, **EXACT_SIZES)

    @cached_property
    def engine(self) -> Engine:
        """The engine of `full` that the stages share."""
        return open_engine(self.full)

    @contextmanager
    def opened(
        self, weights: Weights, reuse_bytes: int | None = None, replay: bool = True
    ) -> Iterator[Engine]:
        """Open another engine and clear its caches afterwards.

        Its thread, which waits for requests for ever, would keep them.
        """
        engine = open_engine(weights, reuse_bytes, replay)
        try:
            yield engine
        finally:
            engine.clear_caches()
            free_unused(self.device)


EXACT_SIZES = {
    "num_hidden_layers": EXACT_LAYERS,
    "vision_config": {**CLIP_VIT_LARGE_PATCH14_336, "num_hidden_layers": EXACT_VISION_LAYERS},
}
SMALL_WIDTHS = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
SMALL_SIZES = {
    **SMALL_WIDTHS,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    # with the default of 0.02 every token of so narrow a model is the same
    "initializer_range": 0.3,
    "vision_config": {
        **SMALL_WIDTHS,
        "num_hidden_layers": 3,
        "image_size": 336,
        "patch_size": 14,
    },
}


def open_engine(weights: Weights, reuse_bytes: int | None = None, replay: bool = True) -> Engine:
    """Return an engine with load's budgets that decodes to the limit of each request."""
    engine = build_engine(
        weights.model, weights.processor, weights.name, reuse_bytes, replay=replay
    )
    engine.stop_token_ids = lambda: []  # type: ignore[method-assign]
    return engine


def build_small(device: torch.device, dtype: torch.dtype) -> Weights:
    """Return a tiny model, which answers in milliseconds on a CPU."""
    return build_random(device, dtype, head_width=16, **SMALL_SIZES)


def build_random(
    device: torch.device, dtype: torch.dtype, head_width: int, **sizes: object
) -> Weights:
    """Return random weights, made on the device, whose RoPE factors change at 4,096 tokens."""
    processor = AutoProcessor.from_pretrained(EMBEDDED_FOLDER)
    processor.image_processor.auto_num_crops = [16, 4]
    processor.tokenizer.model_max_length = UNLIMITED
    factors: Sequence[int] = range(head_width // 2)
    config = Phi3VConfig(
        image_token_id=processor.image_token_id,
        rope_scaling={
            "type": "su",
            "short_factor": [1.0 for _ in factors],
            "long_factor": [3.0 for _ in factors],
        },
        **({"vocab_size": len(processor.tokenizer), "pad_token_id": 0} if head_width < 96 else {}),
        **sizes,
    )
    torch.manual_seed(0)
    model = build_model(config, device, dtype)
    return Weights(model, processor, f"random weights, {config.num_hidden_layers} layers")
