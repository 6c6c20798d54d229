"""`python -m benchmarks.growth`: how times grow with pictures, turns and simultaneous users.

Writes growth.csv and, from it, growth.png beside this file; `--plot-only` plots the existing CSV.
This engine and the tutorials' way alternate in one process, and figures are medians.
"""

import argparse
import csv
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from PIL import Image

from benchmarks import baseline
from benchmarks.__main__ import describe_machine, draw_noise, parse_size
from benchmarks.floor import floor_rate
from benchmarks.models import open_engine
from phi3v import Engine, Request, Sampling, Turn
from phi3v.inference.checkpoint_files import EMBEDDED

DATA = Path(__file__).parent / "growth.csv"
IMAGES, TURNS, USERS = (1, 2, 4, 8), tuple(range(1, 9)), (1, 2, 4, 8)
# The embedded checkpoint's own context is 2,560 tokens; here only speed counts, not its answers.
CONTEXT = 8192
QUESTIONS = ("Describe this image.", "What else?")


@dataclass(frozen=True)
class Row:
    """Seconds to the first token and tokens/s at a number of pictures, turns or users."""

    axis: str
    count: int
    way: str
    first_token_seconds: float
    tokens_per_second: float


@dataclass(frozen=True)
class Way:
    """A way to answer; `answer` returns text, seconds to the first token, and tokens per second."""

    name: str
    attention: str
    answer: Callable[[tuple[Turn, ...]], tuple[str, float, float]]


def make_ways(engine: Engine, num_crops: int, new_tokens: int) -> tuple[Way, Way]:
    """Return this engine, and the tutorials' way with the same model."""
    one_at_a_time = threading.Lock()

    def ours(turns: tuple[Turn, ...]) -> tuple[str, float, float]:
        chunks = list(engine.stream(Request(turns, Sampling(new_tokens), num_crops)))
        figures = chunks[-1].statistics
        assert figures is not None
        text = "".join(chunk.text for chunk in chunks)
        return text, figures.time_to_first_token, figures.tokens_per_second

    def theirs(turns: tuple[Turn, ...]) -> tuple[str, float, float]:
        asked_at = time.perf_counter()
        with one_at_a_time:
            waited = time.perf_counter() - asked_at
            text, times = baseline.answer(engine, turns, num_crops, new_tokens)
        return text, waited + times[0], (len(times) - 1) / (times[-1] - times[0])

    return Way("phi3v", "sdpa", ours), Way("tutorials' way", "eager", theirs)


def grow_images(way: Way, new_image: Callable[[], Image.Image]) -> list[Row]:
    """Ask a first question about 1, 2, 4, 8 new pictures."""
    rows = []
    for count in IMAGES:
        images = tuple(new_image() for _ in range(count))
        _, seconds, rate = way.answer((Turn("user", QUESTIONS[0], images),))
        rows.append(Row("pictures", count, way.name, seconds, rate))
    return rows


def grow_turns(way: Way, new_image: Callable[[], Image.Image]) -> list[Row]:
    """Ask eight questions in a conversation about one new picture."""
    rows = []
    turns: tuple[Turn, ...] = (Turn("user", QUESTIONS[0], (new_image(),)),)
    for count in TURNS:
        text, seconds, rate = way.answer(turns)
        rows.append(Row("turns", count, way.name, seconds, rate))
        turns = (*turns, Turn("assistant", text), Turn("user", QUESTIONS[1]))
    return rows


def grow_users(way: Way, new_image: Callable[[], Image.Image]) -> list[Row]:
    """Let 1, 2, 4, 8 users ask at once, each about a new picture; rows are their means."""
    rows = []
    for count in USERS:
        questions = [(Turn("user", QUESTIONS[0], (new_image(),)),) for _ in range(count)]
        with ThreadPoolExecutor(count) as people:
            figures = list(people.map(way.answer, questions))
        seconds = statistics.mean(first for _, first, _ in figures)
        rate = statistics.mean(rate for _, _, rate in figures)
        rows.append(Row("users at once", count, way.name, seconds, rate))
    return rows


def measure_growth(engine: Engine, options: argparse.Namespace) -> list[Row]:
    """Return the medians of all figures over `options.runs` runs, after one warm-up run."""
    size = parse_size(options.size)
    seeds = iter(range(10**6))
    ways = make_ways(engine, options.num_crops, options.new_tokens)
    rows: list[Row] = []
    for run in range(options.runs + 1):
        for grow in (grow_images, grow_turns, grow_users):
            for way in ways:
                engine.model.set_attn_implementation(way.attention)
                measured = grow(way, lambda: draw_noise(size, next(seeds)))
                rows += measured if run > 0 else []
    keys = dict.fromkeys((row.axis, row.count, row.way) for row in rows)
    return [take_median(key, rows) for key in keys]


def take_median(key: tuple[str, int, str], rows: list[Row]) -> Row:
    """Return the medians of the rows that have this (axis, count, way)."""
    matching = [row for row in rows if (row.axis, row.count, row.way) == key]
    seconds = statistics.median(row.first_token_seconds for row in matching)
    rate = statistics.median(row.tokens_per_second for row in matching)
    return Row(*key, round(seconds, 5), round(rate, 2))


def write_rows(rows: list[Row], path: Path, note: str) -> None:
    """Write a comment line with the settings and the machine, then the rows as CSV."""
    with path.open("w", newline="") as file:
        file.write(f"# {note}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows(astuple(row) for row in rows)


def read_rows(path: Path) -> tuple[list[Row], str]:
    """Read the rows and the note that write_rows wrote."""
    with path.open() as file:
        note = file.readline().removeprefix("# ").strip()
        rows = [
            Row(line["axis"], int(line["count"]), line["way"], *map(float, list(line.values())[3:]))
            for line in csv.DictReader(file)
        ]
    return rows, note


def draw_rows(rows: list[Row], note: str, path: Path) -> None:
    """Plot three columns (pictures, turns, users) of two rows (first token, tokens per second)."""
    from matplotlib.figure import Figure  # a development requirement

    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, 3, sharey="row")
    labels = ("seconds to the first token", "tokens/s")
    for column, axis in enumerate(dict.fromkeys(row.axis for row in rows)):
        for line, label in enumerate(labels):
            plot = axes[line][column]
            for way in dict.fromkeys(row.way for row in rows if row.axis == axis):
                points = [row for row in rows if (row.axis, row.way) == (axis, way)]
                values = [astuple(row)[3 + line] for row in points]
                plot.plot([row.count for row in points], values, marker="o", label=way)
            plot.set_xlabel(axis)
            plot.grid(alpha=0.3)
            if column == 0:
                plot.set_ylabel(label)
    axes[0][0].set_yscale("log")
    axes[1][0].set_ylim(bottom=0)
    axes[0][0].legend()
    figure.suptitle(note, fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def open_measured(options: argparse.Namespace) -> tuple[Engine, str]:
    """Return an engine whose context holds 8 pictures, and a note of settings and machine."""
    engine = open_engine(options.model, options.layers, options.device, options.dtype)
    engine.stop_token_ids = lambda: []  # type: ignore[method-assign]  # decode to the limit
    if options.model == EMBEDDED:
        config = engine.model.config
        config.max_position_embeddings = config.original_max_position_embeddings = CONTEXT
        config.rope_parameters["original_max_position_embeddings"] = CONTEXT
    note = (
        f"{engine.name}, {str(engine.dtype).removeprefix('torch.')}, {options.size} pictures at "
        f"num_crops {options.num_crops}, {options.new_tokens} new tokens, median of "
        f"{options.runs}; {describe_machine(engine.device)}"
    )
    if engine.device.type == "cuda":
        note += f"; bandwidth limit {floor_rate(engine, 2048):.0f} tokens/s at 2,048 tokens"
    return engine, note


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--model", default=EMBEDDED, help="as for `python -m benchmarks`")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--size", default="640x480", help="the pictures' width x height")
    parser.add_argument("--num-crops", type=int, default=1)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DATA, help="CSV file of the figures")
    parser.add_argument("--plot-only", action="store_true", help="plot the existing CSV file")
    return parser.parse_args()


def main() -> None:
    """Measure, write and plot."""
    options = parse_options()
    if not options.plot_only:
        engine, note = open_measured(options)
        write_rows(measure_growth(engine, options), options.data, note)
    draw_rows(*read_rows(options.data), options.data.with_suffix(".png"))


if __name__ == "__main__":
    main()
