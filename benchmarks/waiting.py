"""`python -m benchmarks.waiting`: from a waiting request's turn to its first token.

While one request is decoded a second waits with a picture's file. Its picture is opened and cut
into crops meanwhile, or at its turn; both ways take turns in one process, the figures are medians.
"""

import argparse
import statistics
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import phi3v.inference.engine
from benchmarks.__main__ import ask_engine, describe_machine, draw_noise, parse_size
from benchmarks.models import open_engine
from phi3v import Engine, Request, Sampling, Turn
from phi3v.inference.checkpoint_files import EMBEDDED

WAYS = {"meanwhile": phi3v.inference.engine.PREPARED_AHEAD, "at its turn": 0}


def measure_turn(engine: Engine, path: Path, num_crops: int, decoded: int) -> float:
    """Seconds from the turn of a request about a picture's file to its first token.

    It comes while another request is answered with so many tokens.
    """
    engine.clear_caches()
    other = Request((Turn("user", "Hello"),), Sampling(decoded), ends_loops=False)
    turns = (Turn("user", "What is it?", (path,)),)
    with ThreadPoolExecutor(1) as person:
        busy = engine.stream(other)
        while not next(busy).text:
            pass
        waiting = person.submit(ask_engine, engine, turns, num_crops, 1)
        for _ in busy:
            pass
        return waiting.result()[1].prompt_time


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("--model", default=EMBEDDED, help="as for `python -m benchmarks`")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--size", default="1344x1008", help="the picture's width x height")
    parser.add_argument("--format", default="jpg", help="the picture's file: jpg, png, ...")
    parser.add_argument("--num-crops", type=int, default=16)
    parser.add_argument("--new-tokens", type=int, default=256, help="of the answer waited for")
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = parse_options()
    engine = open_engine(options.model, options.layers, options.device, options.dtype)
    engine.stop_token_ids = lambda: []  # type: ignore[method-assign]  # decode to the limit
    seconds = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"picture.{options.format}"
        draw_noise(parse_size(options.size), 0).save(path)
        for run in range(options.runs + 1):
            for way, count in WAYS.items():
                phi3v.inference.engine.PREPARED_AHEAD = count
                measured = measure_turn(engine, path, options.num_crops, options.new_tokens)
                seconds[way] += [measured] if run > 0 else []
    ahead, late = (statistics.median(seconds[way]) for way in WAYS)
    print(
        f"{engine.name}, {str(engine.dtype).removeprefix('torch.')}, a {options.size} "
        f"{options.format} at num_crops {options.num_crops}, median of {options.runs}; "
        f"{describe_machine(engine.device)}\n"
    )
    print("| | prepared meanwhile | prepared at its turn | ratio |\n|---|---|---|---|")
    print(f"| turn to first token (s) | {ahead:.3g} | {late:.3g} | {late / ahead:.2f} x |")


if __name__ == "__main__":
    main()
