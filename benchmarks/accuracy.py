"""`python -m benchmarks.accuracy`: accuracy on pictures that no training code draws.

`training.evaluate` draws its pictures by the code that draws training samples. These are drawn with
plain Pillow calls, and with words, sizes and layouts of their own. Prints a line for each kind.
"""

import argparse
import random
from collections.abc import Callable

from benchmarks.conversations import (
    Conversation,
    ask_about_shapes,
    ask_anything,
    make_odd_one,
    make_page,
)
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
    "odd one of three pictures, % right": make_odd_one,
    "A4 pages of 16 to 36 pt, % wrong characters": lambda rng: make_page(rng, 16, 36),
    "A4 pages of 12 to 16 pt, % wrong characters": lambda rng: make_page(rng, 12, 16),
}
# Three questions each; two lines are printed, for the answers and for whole conversations.
CONVERSATIONS: dict[str, Callable[[random.Random], Conversation]] = {
    "conversations about one to three shapes": ask_about_shapes,
    "conversations of all kinds": ask_anything,
}


def ask(engine: Engine, case: Case, before: tuple[Turn, ...] = ()) -> str:
    """Return the greedy answer as users see it: a repetition that ended it is cut to one."""
    turns = (*before, Turn("user", case.question, () if before else case.images))
    chunks = list(engine.stream(Request(turns, Sampling(case.max_new_tokens))))
    text, statistics = "".join(chunk.text for chunk in chunks), chunks[-1].statistics
    is_loop = statistics is not None and statistics.finish_reason == "loop"
    return (cut_repetition(text) if is_loop else text).strip()


def hold(engine: Engine, conversation: Conversation, shows: bool) -> list[float]:
    """Ask all questions of a conversation in turn; return the judges' verdicts."""
    turns: tuple[Turn, ...] = ()
    scores = []
    for case in conversation:
        answer = ask(engine, case, turns)
        scores.append(case.judge(answer))
        if shows and scores[-1] < 1:
            print(f"  {case.question!r}\n  want {case.wanted!r}\n  got  {answer!r}")
        question = Turn("user", case.question, () if turns else case.images)
        turns = (*turns, question, Turn("assistant", answer))
    return scores


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
    measure_cases(engine, options)
    for name, make in CONVERSATIONS.items():
        if options.kinds not in name:
            continue
        held = [
            hold(engine, make(random.Random(f"{options.seed}:{name}:{number}")), options.show)
            for number in range(options.count)
        ]
        turns = [100 * sum(scores) / len(scores) for scores in zip(*held, strict=True)]
        print(f"{name}, answers, % right: " + ", ".join(f"{share:.1f}" for share in turns))
        whole = 100 * sum(min(scores) == 1 for scores in held) / len(held)
        print(f"{name}, all three, % right: {whole:.1f}", flush=True)


def measure_cases(engine: Engine, options: argparse.Namespace) -> None:
    """Measure and print a line for each kind of single questions."""
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
