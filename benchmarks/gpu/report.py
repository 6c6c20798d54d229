"""Rows of the GPU benchmark: printed one by one, and written as JSON after each."""

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

# Units of figures that depend on how busy a machine is; tests do not judge them.
TIMED_UNITS = ("ms", "s", "tokens/s", "of the floor", "x")
VERDICTS = {True: "ok", False: "FAILED", None: ""}


@dataclass(frozen=True)
class Row:
    """A figure of a stage; passes is None where it is printed only, limit says what it must be."""

    stage: str
    name: str
    value: float | str | None
    unit: str = ""
    passes: bool | None = None
    limit: str = ""
    note: str = ""

    @property
    def is_timed(self) -> bool:
        """True if the figure is a time, or was computed from one."""
        return self.unit in TIMED_UNITS


def needs_cuda(stage: str, name: str) -> Row:
    """Return the row of a figure that only a CUDA device has, which is no failure elsewhere."""
    return Row(stage, name, None, note="needs CUDA")


def format_row(row: Row) -> str:
    """Return a row as one line."""
    value = f"{row.value:.4g}" if isinstance(row.value, float) else str(row.value)
    figure = "" if row.value is None else f"{value} {row.unit}".strip()
    limit = f"({row.limit})" if row.limit else ""
    parts = (figure, VERDICTS[row.passes], limit, row.note)
    text = "  ".join(part for part in parts if part)
    return f"{row.stage:<12} {row.name:<44} {text}"


def as_json(row: Row) -> dict[str, object]:
    """Return a row's fields; numbers that JSON does not have become text."""
    fields = asdict(row)
    if isinstance(row.value, float) and not math.isfinite(row.value):
        fields["value"] = str(row.value)
    return fields


@dataclass
class Report:
    """The rows so far; each is printed and, given a folder, written to its gpu.json at once.

    `about` stands at the head of the file: card, versions, date and options.
    """

    folder: Path | None
    about: Mapping[str, object]
    rows: list[Row] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def has_failed(self) -> bool:
        """True if a row missed its limit."""
        return any(row.passes is False for row in self.rows)

    def append(self, row: Row) -> None:
        """Add a row, print it, and replace the file by one that has it."""
        self.rows.append(row)
        print(format_row(row), flush=True)
        if self.folder is not None:
            self._write(self.folder / "gpu.json")

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        seconds = round(time.monotonic() - self.began, 1)
        content = {**self.about, "seconds": seconds, "rows": [as_json(row) for row in self.rows]}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
        os.replace(partial, path)  # a run that is killed leaves the last whole file
