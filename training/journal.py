"""Log of a training run: one CSV row every few steps, and its plot."""

import csv
import time
from pathlib import Path

# Loss ("answer") and accuracy ("right") of answer tokens; F1 of naming the cells of their pictures
# ("f1") and of dense pages ("pages"); accuracy on text-only sentences ("drills") and of cells'
# positions ("placed"); attention to the next token's cells ("pointed") and to those of the token
# before it ("followed"). "waited" are seconds of a step spent on waiting for its batch.
COLUMNS = ("time", "stage", "step", "seconds", "waited", "loss")
MEASURES = ("answer", "right", "f1", "pages", "drills", "placed", "pointed", "followed")
SHOWN = ("right", "f1", "pages", "drills", "placed", "pointed", "followed")
WINDOW = 5  # rows that a point of the plot averages


def append_row(path: Path, stage: str, step: int, figures: dict[str, float]) -> None:
    """Append a row to the log, and print it; keys of `figures` are column names."""
    row = {"time": time.strftime("%H:%M:%S"), "stage": stage, "step": str(step)}
    row |= {name: f"{value:.4f}" for name, value in figures.items()}
    print(row["time"], *(f"{name}={value}" for name, value in list(row.items())[1:]), flush=True)
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, (*COLUMNS, *MEASURES), restval="")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a log."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def smooth(values: list[float]) -> list[float]:
    """Return moving averages over the last WINDOW values."""
    starts = [max(0, end - WINDOW) for end in range(1, len(values) + 1)]
    return [sum(values[start:end]) / (end - start) for end, start in enumerate(starts, 1)]


def draw_curve(path: Path, to: Path) -> None:
    """Plot a log: accuracies, and steps per second, over the minutes of all stages."""
    from matplotlib.figure import Figure  # a development requirement

    rows = read_rows(path)
    steps = [0] + [int(row["step"]) for row in rows]
    ends = [0.0]
    for row, before in zip(rows, steps, strict=False):
        count = int(row["step"]) - before
        count = int(row["step"]) if count <= 0 else count  # a new stage
        ends.append(ends[-1] + count * float(row["seconds"]) / 60)
    minutes = ends[1:]
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    shares, rates = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for name in SHOWN:
        points = [(at, row[name]) for at, row in zip(minutes, rows, strict=True) if row[name]]
        if points:
            at, values = zip(*points, strict=True)
            shares.plot(at, smooth([float(value) for value in values]), label=name, linewidth=1)
    rates.plot(minutes, smooth([1 / float(row["seconds"]) for row in rows]), linewidth=1)
    for index, row in enumerate(rows):
        if index == 0 or row["stage"] != rows[index - 1]["stage"]:
            for place in (shares, rates):
                place.axvline(ends[index], color="grey", linewidth=0.5)
            shares.text(ends[index], 1.01, row["stage"], fontsize=7, rotation=30)
    shares.set_ylim(0, 1)
    shares.set_ylabel("share right")
    shares.legend(loc="lower right")
    shares.grid(alpha=0.3)
    rates.set_ylabel("steps/s")
    rates.set_xlabel("minutes of training")
    figure.savefig(to, dpi=90, metadata={"Software": None})
