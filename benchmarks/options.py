"""`python -m benchmarks.options`: ways to decode on a CPU compared, in ms per token.

Each way decodes the same greedy tokens with the embedded checkpoint, alternating with the others in
one process; figures are medians. They are the reason why the engine decodes as it does.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from transformers import DynamicCache

from benchmarks.__main__ import describe_machine
from phi3v import Phi3VForCausalLM, load
from phi3v.model.cuda_graphs import SlotBuffer
from phi3v.model.decoding import GrowingCache

CONTEXT = 400  # tokens in the cache before timing starts: about one picture and a question
FIRST_TOKEN = 7  # any
Step = Callable[[torch.Tensor], torch.Tensor]  # ids (1, 1) -> logits (1, 1, vocabulary)


def fill(model: Phi3VForCausalLM, cache: DynamicCache | GrowingCache) -> None:
    """Fill a cache with CONTEXT tokens."""
    ids = torch.arange(CONTEXT)[None] % model.config.vocab_size
    model(ids, past_key_values=cache, use_cache=True)


def step_whole(model: Phi3VForCausalLM) -> Step:
    """Return a step by transformers' forward pass."""
    cache = DynamicCache()
    fill(model, cache)
    return lambda ids: model(ids, past_key_values=cache, use_cache=True).logits


def step_short(model: Phi3VForCausalLM) -> Step:
    """Return the engine's own decode step, see phi3v.model.decoding."""
    cache = GrowingCache()
    fill(model, cache)
    return lambda ids: model(ids, past_key_values=cache, use_cache=True).logits


def step_compiled(model: Phi3VForCausalLM) -> Step:
    """Return a decode step of static shapes, compiled by torch.compile."""
    cache = GrowingCache()
    fill(model, cache)
    buffer = SlotBuffer(model.model, 1024)
    buffer.load(cache)
    layers = buffer.view(1024)
    compiled = torch.compile(lambda: buffer.compute(layers), dynamic=False)

    def step(ids: torch.Tensor) -> torch.Tensor:
        buffer.input_ids.copy_(ids)
        return model.lm_head(compiled())

    return step


def quantize(model: Phi3VForCausalLM) -> Phi3VForCausalLM:
    """Return a copy whose linear layers have int8 weights and quantize activations on the fly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its move to the package torchao
        return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, torch.qint8)


def time_steps(step: Step, count: int) -> float:
    """Return milliseconds per token over `count` steps."""
    ids = torch.tensor([[FIRST_TOKEN]])
    began = time.perf_counter()
    for _ in range(count):
        ids = step(ids)[:, -1:].argmax(-1)
    return (time.perf_counter() - began) / count * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.options", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--new-tokens", type=int, default=64)
    options = parser.parse_args()
    full, half = load(dtype="float32").model, load(dtype="bfloat16").model
    ways = {
        "float32, forward pass": lambda: step_whole(full),
        "float32, decode step": lambda: step_short(full),
        "float32, compiled decode step": lambda: step_compiled(full),
        "int8 weights, decode step": lambda: step_short(quantize(full)),
        "bfloat16, forward pass": lambda: step_whole(half),
        "bfloat16, decode step": lambda: step_short(half),
        "bfloat16, compiled decode step": lambda: step_compiled(half),
    }
    print(f"{describe_machine(torch.device('cpu'))}; median of {options.runs}\n")
    print("| ms per token | 1 thread | 2 threads |\n|---|---|---|")
    figures: dict[str, list[list[float]]] = {name: [[], []] for name in ways}
    with torch.inference_mode():
        for index, threads in enumerate((1, 2)):
            torch.set_num_threads(threads)
            steps = {name: make() for name, make in ways.items()}
            for step in steps.values():
                time_steps(step, 4)
            for _ in range(options.runs):
                for name, step in steps.items():
                    figures[name][index].append(time_steps(step, options.new_tokens))
    for name, columns in figures.items():
        print(f"| {name} | " + " | ".join(f"{statistics.median(c):.2f}" for c in columns) + " |")


if __name__ == "__main__":
    main()
