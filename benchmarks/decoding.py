"""`python -m benchmarks.decoding`: decoding on a CPU beside plain `generate` and the weights' rate.

Random weights of the published sizes, a prompt of text. Answers alternate in one process, and each
figure is the best of its answers: other programs only make it worse. The last line is the rate at
which `F.linear` on one row, and `torch.mv`, read the same weights, matrix by matrix.
"""

import argparse
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch.nn import functional
from transformers import DynamicCache, StoppingCriteriaList

from benchmarks.__main__ import describe_machine
from benchmarks.baseline import Clock
from benchmarks.models import build_real_shape
from phi3v import Phi3VForCausalLM
from phi3v.model.decoding import GrowingCache

FIRST_IDS = 400  # ids of the prompt: any that are not the image slot


def generate(
    model: Phi3VForCausalLM,
    cache: DynamicCache | GrowingCache,
    attention: str,
    context: int,
    count: int,
) -> tuple[float, list[int]]:
    """Return the seconds of the fastest token after the first, and the ids."""
    model.set_attn_implementation(attention)
    ids = (torch.arange(context) % FIRST_IDS)[None]
    clock = Clock()
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        past_key_values=cache,
        max_new_tokens=count,
        do_sample=False,
        eos_token_id=None,
        stopping_criteria=StoppingCriteriaList([clock]),
    )
    times = clock.times
    seconds = min(end - begin for begin, end in pairwise(times))
    return seconds, output[0, context:].tolist()


def list_weights(model: Phi3VForCausalLM) -> list[torch.Tensor]:
    """Return the matrices that decoding one token reads."""
    linears = [m for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear)]
    return [linear.weight for linear in [*linears, model.lm_head]]


def time_products(
    product: Callable[[torch.Tensor, torch.Tensor], object], weights: list[torch.Tensor], runs: int
) -> float:
    """Return the seconds for a product of one row with each weight, each the best of `runs`."""
    best = [float("inf")] * len(weights)
    for _ in range(runs):
        for index, weight in enumerate(weights):
            row = weight.new_ones(weight.shape[1])
            began = time.perf_counter()
            product(row, weight)
            best[index] = min(best[index], time.perf_counter() - began)
    return sum(best)


def measure(dtype: torch.dtype, options: argparse.Namespace) -> None:
    """Measure one number format and print its table."""
    torch.manual_seed(0)
    engine = build_real_shape(options.layers, torch.device("cpu"), dtype)
    model = engine.model
    ways = {
        "plain generate, eager": (DynamicCache, "eager"),
        "plain generate, sdpa": (DynamicCache, "sdpa"),
        "phi3v": (GrowingCache, "sdpa"),
    }
    best = dict.fromkeys(ways, float("inf"))
    ids: dict[str, list[int]] = {}
    for _ in range(options.runs):
        for name, (cache, attention) in ways.items():
            seconds, ids[name] = generate(
                model, cache(), attention, options.context, options.new_tokens
            )
            best[name] = min(best[name], seconds)
    weights = list_weights(model)
    size = sum(weight.nbytes for weight in weights)
    rates = {
        "F.linear": size / time_products(functional.linear, weights, 5 * options.runs),
        "torch.mv": size / time_products(lambda x, w: torch.mv(w, x), weights, 5 * options.runs),
    }
    plain = best["plain generate, eager"]
    print(f"\n| {str(dtype).removeprefix('torch.')} | ms a token | tokens/s | of plain, eager |")
    print("|---|---|---|---|")
    for name, seconds in best.items():
        print(f"| {name} | {1000 * seconds:.1f} | {1 / seconds:.1f} | {plain / seconds:.2f} x |")
    same = ids["phi3v"] == ids["plain generate, sdpa"]
    print(f"\nIds equal to plain generate's with sdpa: {same}.")
    for name, rate in rates.items():
        share = size / best["phi3v"] / rate
        print(f"{name} on one row reads {rate / 1e9:.1f} GB/s; phi3v decodes at {share:.0%} of it.")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding", description=__doc__)
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--context", type=int, default=128, help="tokens of the prompt")
    parser.add_argument("--new-tokens", type=int, default=9)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(f"{describe_machine(torch.device('cpu'))}, {torch.get_num_threads()} threads")
    with torch.inference_mode():
        for name in options.dtypes:
            measure(getattr(torch, name), options)


if __name__ == "__main__":
    main()
