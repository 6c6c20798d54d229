"""`python -m benchmarks.gpu`: what this GPU makes of phi3v, in seven minutes; see gpu.md.

Each stage prints its rows as they come and writes them to gpu.json in the folder of --out, so that
a run cut short tells what it found. The exit code is 1 if a row missed its limit.
"""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from benchmarks.gpu.context import PUBLISHED_LAYERS, Context
from benchmarks.gpu.environment import describe
from benchmarks.gpu.report import Report
from benchmarks.gpu.stages import STAGES, run_stage
from phi3v.inference.hardware import choose_device, choose_dtype


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    names = [stage.name for stage in STAGES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--seconds", type=float, default=420, help="of the whole run")
    parser.add_argument("--out", type=Path, help="folder of gpu.json")
    parser.add_argument("--stage", action="append", choices=names, help="only this; repeatable")
    parser.add_argument("--device", default="auto", choices=["auto", "cuda", "cpu"])
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--layers", type=int, default=PUBLISHED_LAYERS, help="decoder layers")
    parser.add_argument("--small", action="store_true", help="a tiny model, to try the stages")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stages asked for; return 1 if a row missed its limit."""
    began = time.monotonic()
    options = parse_options(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    disable_progress_bar()
    device = choose_device(options.device)
    dtype, _ = choose_dtype(device, options.dtype)
    deadline = began + options.seconds
    context = Context(device, dtype, options.layers, options.small, deadline)
    report = Report(options.out, describe(context), began=began)
    for stage in STAGES:
        if not options.stage or stage.name in options.stage:
            run_stage(stage, context, report)
    failed = [f"{row.stage}: {row.name}" for row in report.rows if row.passes is False]
    seconds = time.monotonic() - began
    print(f"{len(report.rows)} rows in {seconds:.0f} s; failed: {', '.join(failed) or 'none'}")
    return int(report.has_failed)


if __name__ == "__main__":
    sys.exit(main())
