"""`python -m benchmarks.accuracy`: accuracy on pictures that no training code draws.

`training.evaluate` draws its pictures by the code that draws training samples. These are drawn with
plain Pillow calls, and with words, sizes and layouts of their own. Prints a line for each kind.
"""

import argparse
import random
from collections.abc import Callable

from benchmarks.drawn import (
    draw_scattered,
    make_chart,
    make_count,
    make_objects,
    make_pair,
    make_photo,
)
from benchmarks.printed import UNSEEN_FONTS, Case, make_book, make_table, make_text
from phi3v import Engine, Request, Sampling, Turn, load
from phi3v.conversation.repetition import cut_repetition
from phi3v.inference.checkpoint_files import EMBEDDED

# The names seed the pictures: another name draws others.
KINDS: dict[str, Callable[[random.Random], Case]] = {
    "lines of 24 to 56 px, % wrong characters": lambda rng: make_text(rng, 24, 56),
    "lines of 18 to 24 px, % wrong characters": lambda rng: make_text(rng, 18, 24),
    "lines in unseen fonts, % wrong characters": lambda rng: make_text(rng, 24, 56, UNSEEN_FONTS),
    "title and author of a book, % right": make_book,
    "cells of a table, % right": make_table,
    "highest bar, values printed, % right": lambda rng: make_chart(rng, True),
    "highest bar, axis only, % right": lambda rng: make_chart(rng, False),
    "up to three objects with places, % right": make_objects,
    "counts, % right": make_count,
    "objects of any size anywhere, % right": lambda rng: make_objects(rng, draw_scattered),
    "counts of any size anywhere, % right": lambda rng: make_count(rng, draw_scattered),
    "pairs that differ, both values, % right": lambda rng: make_pair(rng, False),
    "identical pairs, % right": lambda rng: make_pair(rng, True),
    "photographs refused, %": make_photo,
}


def ask(engine: Engine, case: Case) -> str:
    """Return the greedy answer as users see it: a repetition that ended it is cut to one."""
    turns = (Turn("user", case.question, case.images),)
    chunks = list(engine.stream(Request(turns, Sampling(200))))
    text, statistics = "".join(chunk.text for chunk in chunks), chunks[-1].statistics
    is_loop = statistics is not None and statistics.finish_reason == "loop"
    return (cut_repetition(text) if is_loop else text).strip()


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--model", default=EMBEDDED, help="as for `python -m benchmarks`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=50, help="pictures or pairs of each kind")
    parser.add_argument("--kinds", default="", help="only kinds with this in their names")
    parser.add_argument("--show", action="store_true", help="print the answers that are wrong")
    return parser.parse_args()


def main() -> None:
    """Measure and print a line for each kind."""
    options = parse_options()
    engine = load(options.model)
    for name, make in KINDS.items():
        if options.kinds not in name:
            continue
        scores = []
        for number in range(options.count):
            case = make(random.Random(f"{options.seed}:{name}:{number}"))
            answer = ask(engine, case)
            scores.append(case.judge(answer))
            if options.show and scores[-1] != float("wrong" not in name):
                print(f"  want {case.wanted!r}\n  got  {answer!r}")
        print(f"{name}: {100 * sum(scores) / len(scores):.1f}", flush=True)


if __name__ == "__main__":
    main()
