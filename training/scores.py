"""Scores of the answers to a task's samples."""

from collections.abc import Callable
from dataclasses import dataclass

from training import beyond
from training.canvas import Sample


@dataclass(frozen=True)
class Trial:
    """A sample, and the model's answer."""

    sample: Sample
    answer: str

    @property
    def is_exact(self) -> bool:
        """True if the answer equals the expected one."""
        return self.answer == self.sample.answer


@dataclass(frozen=True)
class Score:
    """One row of the table: a share or a rate in percent."""

    task: str
    measure: str
    value: float
    samples: int
    pictures: str = ""


def edit_distance(one: str, other: str) -> int:
    """Levenshtein distance of two texts."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def error_rate(trials: list[Trial]) -> float:
    """Character error rate over all trials, in percent."""
    wrong = sum(edit_distance(trial.answer, trial.sample.answer) for trial in trials)
    return 100 * wrong / max(1, sum(len(trial.sample.answer) for trial in trials))


def names_same(trial: Trial) -> bool:
    """True if the answer is right, disregarding the background."""
    wanted, found = (t.split(" on a")[0] for t in (trial.sample.answer, trial.answer))
    return wanted == found


def ends_same(trial: Trial) -> bool:
    """True if the answer ends with the right word: the label, whatever value it states."""
    return trial.answer.split()[-1:] == trial.sample.answer.split()[-1:]


def list_cells(markdown: str) -> list[tuple[int, int, str]]:
    """Return row, column and text of a Markdown table's cells, without the line below its head."""
    lines = [line.strip().strip("|").split("|") for line in markdown.splitlines()]
    rows = [cells for cells in lines if not all(set(cell.strip()) <= set("-:") for cell in cells)]
    return [(r, c, cell.strip()) for r, row in enumerate(rows) for c, cell in enumerate(row)]


def share_of_cells(trials: list[Trial]) -> float:
    """Share of cells with the right text in the right position, in percent."""
    wanted = [list_cells(trial.sample.answer) for trial in trials]
    found = [set(list_cells(trial.answer)) for trial in trials]
    right = sum(cell in got for cells, got in zip(wanted, found, strict=True) for cell in cells)
    return 100 * right / max(1, sum(map(len, wanted)))


def share(test: Callable[[Trial], bool]) -> Callable[[list[Trial]], float]:
    """Return a measure: the share of trials that pass a test, in percent."""
    return lambda trials: 100 * sum(map(test, trials)) / max(1, len(trials))


def says_identical(trial: Trial) -> bool:
    """True if the answer calls the pair identical."""
    return "identical" in trial.answer


EXACT = ("whole answer right, %", share(lambda trial: trial.is_exact))
ERRORS = ("character error rate, %", error_rate)
NAMES = ("colours and shapes right, %", share(names_same))
REFUSED = ("says that it cannot, %", share(lambda trial: trial.answer == beyond.ANSWER))
MEASURES: dict[str, tuple[tuple[str, Callable[[list[Trial]], float]], ...]] = {
    "one large word or two": (ERRORS, EXACT),
    "1 to 4 lines of 24 to 56 px": (ERRORS, EXACT),
    "1 to 4 lines of 18 to 24 px": (ERRORS, EXACT),
    "1 to 4 lines, unseen fonts and words": (ERRORS, EXACT),
    "one shape": (NAMES, EXACT),
    "two shapes": (NAMES, EXACT),
    "print, or a labelled shape": (EXACT, ERRORS),
    "title and author of a book": (EXACT, ERRORS),
    "up to three placed objects": (
        ("colours, shapes and places right, %", share(names_same)),
        EXACT,
    ),
    "placed objects, listed": (EXACT,),
    "placed objects, counted": (EXACT,),
    "one of the placed objects": (EXACT,),
    "two pictures that differ": (
        ("both values right, %", share(lambda trial: trial.is_exact)),
        ("called different, %", share(lambda trial: not says_identical(trial))),
    ),
    "two identical pictures": (("called identical, %", share(says_identical)),),
    "odd one of three pictures": (EXACT,),
    "page of a PDF": (ERRORS,),
    "chart, the highest": (("label right, %", share(ends_same)), EXACT),
    "chart, one value": (EXACT,),
    "chart, described": (EXACT, ERRORS),
    "table": (("cells right, %", share_of_cells),),
    "table, some rows or cells": (EXACT,),
    "receipt": (ERRORS, EXACT),
    "beyond it": (REFUSED,),
    "empty picture": (EXACT,),
}


def score_task(task: str, trials: list[Trial]) -> list[Score]:
    """Return the scores of a task."""
    return [
        Score(task, measure, compute(trials), len(trials)) for measure, compute in MEASURES[task]
    ]


def score_false_alarms(trials: list[Trial]) -> Score:
    """Return how often the model refuses samples that it can answer."""
    able = [trial for trial in trials if trial.sample.task != "beyond"]
    _, compute = REFUSED
    return Score("all of the others", REFUSED[0], compute(able), len(able))
