"""`python -m benchmarks.streaming`: the cost of streaming an answer while it is decoded.

The same prompt is answered by the engine, which streams its text, and by `generate` of the same
model with the same cache and no streamer. Both alternate in one process; rates are medians, and
the ratio is the median over pairs of consecutive runs.
"""

import argparse
import operator
import statistics

import torch
from transformers import StoppingCriteriaList

from benchmarks.__main__ import describe_machine
from benchmarks.baseline import Clock
from benchmarks.models import open_engine
from phi3v import Engine, Request, Sampling, Turn
from phi3v.conversation.prompt import render_prompt
from phi3v.inference.checkpoint_files import EMBEDDED
from phi3v.model.decoding import GrowingCache

TURNS = (Turn("user", "Hello"),)


def stream(engine: Engine, count: int) -> float:
    """Return tokens per second of the engine, its text read as it arrives."""
    engine.clear_caches()
    *_, last = engine.stream(Request(TURNS, Sampling(count), ends_loops=False))
    assert last.statistics is not None
    return last.statistics.tokens_per_second


def generate(engine: Engine, count: int) -> float:
    """Return tokens per second of `generate` alone, from the first token to the last."""
    ids = torch.tensor([engine.processor.tokenize(render_prompt(TURNS, engine.processor), [])])
    ids, clock = ids.to(engine.device), Clock()
    with torch.inference_mode():
        engine.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=GrowingCache(),
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=None,
            stopping_criteria=StoppingCriteriaList([clock]),
        )
    return (count - 1) / (clock.times[-1] - clock.times[0])


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming", description=__doc__)
    parser.add_argument("--model", default=EMBEDDED, help="as for `python -m benchmarks`")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--new-tokens", type=int, default=256)
    parser.add_argument("--runs", type=int, default=25)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = parse_options()
    engine = open_engine(options.model, options.layers, options.device, options.dtype)
    engine.stop_token_ids = lambda: []  # type: ignore[method-assign]  # decode to the limit
    streamed, alone = [], []
    stream(engine, options.new_tokens)
    threads = torch.get_num_threads()
    for _ in range(options.runs):
        streamed.append(stream(engine, options.new_tokens))
        torch.set_num_threads(1 if engine.decodes_on_one_thread else threads)
        alone.append(generate(engine, options.new_tokens))
        torch.set_num_threads(threads)
    ratio = statistics.median(map(operator.truediv, streamed, alone))
    rates = f"{statistics.median(streamed):.3g} | {statistics.median(alone):.3g}"
    print(
        f"{engine.name}, {str(engine.dtype).removeprefix('torch.')}, {options.new_tokens} new "
        f"tokens, median of {options.runs}; {describe_machine(engine.device)}\n"
    )
    print("| | streamed | not streamed | ratio |\n|---|---|---|---|")
    print(f"| decoding (tokens/s) | {rates} | {ratio:.2f} x |")


if __name__ == "__main__":
    main()
