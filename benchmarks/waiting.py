"""`python -m benchmarks.waiting`: from the start of a queued request to its first token.

While one request is decoded, another with a picture's file is queued. Its picture is opened and cut
into crops meanwhile, or when it starts; both alternate in one process, and figures are medians.
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

WAYS = {"in the queue": phi3v.inference.engine.PREPARED_AHEAD, "at its start": 0}


def measure_start(engine: Engine, path: Path, num_crops: int, decoded: int) -> float:
    """Return the seconds from the start of a request about a picture's file to its first token.

    It is queued while another request is answered with `decoded` tokens.
    """
    engine.clear_caches()
    other = Request((Turn("user", "Hello"),), Sampling(decoded), ends_loops=False)
    turns = (Turn("user", "What is it?", (path,)),)
    with ThreadPoolExecutor(1) as reader:
        running = engine.stream(other)
        while not next(running).text:
            pass
        queued = reader.submit(ask_engine, engine, turns, num_crops, 1)
        for _ in running:
            pass
        return queued.result()[1].prompt_time


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("--model", default=EMBEDDED, help="as for `python -m benchmarks`")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--size", default="1344x1008", help="the picture's width x height")
    parser.add_argument("--format", default="jpg", help="the picture's file: jpg, png, ...")
    parser.add_argument("--num-crops", type=int, default=16)
    parser.add_argument("--new-tokens", type=int, default=256, help="of the answer before it")
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
                measured = measure_start(engine, path, options.num_crops, options.new_tokens)
                seconds[way] += [measured] if run > 0 else []
    ahead, late = (statistics.median(seconds[way]) for way in WAYS)
    print(
        f"{engine.name}, {str(engine.dtype).removeprefix('torch.')}, a {options.size} "
        f"{options.format} at num_crops {options.num_crops}, median of {options.runs}; "
        f"{describe_machine(engine.device)}\n"
    )
    print("| | prepared in the queue | prepared at its start | ratio |\n|---|---|---|---|")
    print(f"| start to first token (s) | {ahead:.3g} | {late:.3g} | {late / ahead:.2f} x |")


if __name__ == "__main__":
    main()
