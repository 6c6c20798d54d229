"""`python -m benchmarks.published MODEL`: a checkpoint proven by answers that are known.

The tutorials' three questions come first, about the drawn examples, then the public sets that are
named. Answers are greedy. Exits with 1 if a tutorial's answer lacks what is known of it or a set
could not be scored, and with 2 if the request cannot be used. benchmarks.published_sets says how
sets are laid out and scored.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from benchmarks.__main__ import describe_machine
from benchmarks.published_sets import (
    SCORES,
    Item,
    Measure,
    PublishedSet,
    read_questions,
    read_transcriptions,
    score_set,
)
from phi3v import Engine, Request, Sampling, Turn, load
from phi3v.conversation.repetition import cut_repetition
from phi3v.documents.images import open_image
from phi3v.inference.checkpoint_files import find_checkpoint, find_revision
from phi3v.request import ImageSource, RequestError
from phi3v.tasks import EXAMPLES, OCR, find_preset

# The tutorials' scripts ask for up to 1000 new tokens; with the embedded checkpoint's context of
# 2,560, half of that leaves room for a page in 4 crops.
TUTORIAL_TOKENS: Final = 500
TEXT_TOKENS: Final = 1024  # a page of print
PHRASE_TOKENS: Final = 64
# Asks for answers as short as the public sets have them; the wording of LLaVA-1.5 (arXiv
# 2310.03744). The embedded checkpoint was not trained on it.
PHRASE: Final = "\nAnswer the question using a single word or phrase."
PROGRESS: Final = 50  # items after which a line tells how far a set is


@dataclass(frozen=True)
class Tutorial:
    """A tutorial's question about drawn examples, and what a right answer contains.

    known has groups of words; of each group so many must be in the answer, in any case.
    """

    title: str
    files: tuple[str, ...]
    question: str
    known: tuple[tuple[int, tuple[str, ...]], ...]

    def find_missing(self, answer: str) -> list[str]:
        """Return what the answer lacks, in words; nothing if it is right."""
        missing = []
        for least, words in self.known:
            found = [word for word in words if contains(answer, word)]
            if len(found) < least:
                lacking = ", ".join(word for word in words if word not in found)
                missing.append(f"{least - len(found)} more of: {lacking}")
        return missing


# A description in free words need not name every bar, so two of the chart's years and two of its
# values are asked for; the words are those that assets/draw_examples.py draws.
TUTORIALS: Final = (
    Tutorial(
        "chart",
        ("revenue.png",),
        "Could you please introduce this stock to me?",
        (
            (1, ("Revenue",)),
            (2, ("2021", "2022", "2023", "2024")),
            (2, ("24", "38", "31", "17")),
        ),
    ),
    Tutorial(
        "book",
        ("book.png",),
        "Help me get the title and author information of this book?",
        ((2, ("ALONE", "Morgan Maxwell")),),
    ),
    Tutorial(
        "pair",
        ("shop-open.png", "shop-closed.png"),
        "What is difference in this two images?",
        ((2, ("OPEN", "CLOSED")),),
    ),
)


@dataclass(frozen=True)
class TutorialResult:
    """A tutorial's answer and what it lacks; it passed if that is nothing."""

    title: str
    question: str
    files: tuple[str, ...]
    answer: str
    missing: tuple[str, ...]
    passed: bool


@dataclass(frozen=True)
class ItemResult:
    """The answer to an item of a set, and its score; problem says why there is no answer."""

    name: str
    question: str
    wanted: tuple[str, ...]
    answer: str
    score: float
    problem: str = ""


@dataclass(frozen=True)
class SetResult:
    """A set's score and all its answers; skipped names what was no item, and why."""

    path: str
    measure: Measure
    score: float | None
    cases: tuple[ItemResult, ...]
    skipped: tuple[str, ...]


def contains(answer: str, words: str) -> bool:
    """True if whole words are in an answer, in any case: 24 is not in 2024."""
    spaced = re.escape(words).replace(r"\ ", r"\s+")
    return re.search(rf"(?<!\w){spaced}(?!\w)", answer, re.IGNORECASE) is not None


def ask(engine: Engine, images: tuple[ImageSource, ...], question: str, most: int) -> str:
    """Return the greedy answer as users see it: a repetition that ended it is cut to one."""
    turns = (Turn("user", question, images),)
    chunks = list(engine.stream(Request(turns, Sampling(max_new_tokens=most))))
    text, statistics = "".join(chunk.text for chunk in chunks), chunks[-1].statistics
    is_loop = statistics is not None and statistics.finish_reason == "loop"
    return (cut_repetition(text) if is_loop else text).strip()


def run_tutorial(engine: Engine, tutorial: Tutorial) -> TutorialResult:
    """Ask a tutorial's question and print the answer with its verdict."""
    images = tuple(EXAMPLES / file for file in tutorial.files)
    answer = ask(engine, images, tutorial.question, TUTORIAL_TOKENS)
    missing = tuple(tutorial.find_missing(answer))
    verdict = f"FAILED, lacks {'; '.join(missing)}" if missing else "passed"
    print(f"{tutorial.title}: {verdict}\n  {tutorial.question}\n  {answer}\n", flush=True)
    return TutorialResult(
        tutorial.title, tutorial.question, tutorial.files, answer, missing, not missing
    )


def word_item(item: Item, is_embedded: bool) -> tuple[str, int]:
    """Return what is asked about an item, and the most tokens that its answer may have."""
    if not item.question:
        return find_preset(OCR, "text").wording(is_embedded), TEXT_TOKENS
    return item.question + ("" if is_embedded else PHRASE), PHRASE_TOKENS


def answer_item(engine: Engine, item: Item, measure: Measure) -> ItemResult | str:
    """Return an item's answer and score, or why its picture cannot be opened.

    A request that the engine refuses, such as one that does not fit the context, scores like an
    empty answer.
    """
    try:
        image = open_image(item.image)
    except RequestError as error:
        return f"{item.name}: {error}"
    question, most = word_item(item, engine.is_embedded)
    answer, problem = "", ""
    try:
        answer = ask(engine, (image,), question, most)
    except RequestError as error:
        problem = str(error)
    score = SCORES[measure](answer, item.answers)
    return ItemResult(item.name, question, item.answers, answer, score, problem)


def run_set(engine: Engine, published: PublishedSet, limit: int | None) -> SetResult:
    """Answer and score a set's first `limit` items, all without it; names what is skipped."""
    items = published.items[:limit]
    scored, results, skipped = [], [], list(published.problems)
    for number, item in enumerate(items, 1):
        result = answer_item(engine, item, published.measure)
        if isinstance(result, str):
            skipped.append(result)
        else:
            scored.append((item, result.score))
            results.append(result)
            if result.problem:
                print(f"{published.path}: not answered: {item.name}: {result.problem}")
        if number % PROGRESS == 0:
            print(f"{published.path}: {number} of {len(items)}", file=sys.stderr, flush=True)
    for problem in skipped:
        print(f"{published.path}: skipped: {problem}")
    score = score_set(published.measure, scored)
    return SetResult(published.path, published.measure, score, tuple(results), tuple(skipped))


def print_table(results: Sequence[SetResult]) -> None:
    """Print a Markdown table of the sets' scores; of error rates less is better."""
    print("\n| set | measure, % | score | answered | not answered | skipped |")
    print("|---|---|---|---|---|---|")
    for result in results:
        score = "none" if result.score is None else f"{100 * result.score:.1f}"
        refused = sum(bool(case.problem) for case in result.cases)
        print(
            f"| {result.path} | {result.measure} | {score} | {len(result.cases) - refused} "
            f"| {refused} | {len(result.skipped)} |"
        )


def describe_run(engine: Engine, limit: int | None) -> dict[str, Any]:
    """Return what makes a run repeatable: model, revision, device, number format, date."""
    return {
        "model": engine.name,
        "revision": find_revision(find_checkpoint(engine.name)),
        "device": str(engine.device),
        "dtype": str(engine.dtype).removeprefix("torch."),
        "date": str(date.today()),
        "machine": describe_machine(engine.device),
        "limit": limit,
    }


def positive(text: str) -> int:
    """Parse a number of items, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"give a number from 1, found {text!r}")
    return int(text)


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; --ocr and --charts can be given several times."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published", description=__doc__)
    parser.add_argument("model", help="embedded, a folder, or an id of the Hugging Face hub")
    sets: dict[str, Any] = {"type": Path, "action": "append", "default": []}
    parser.add_argument("--ocr", **sets, help="folder of pictures with .txt files, or questions")
    parser.add_argument("--charts", **sets, help="folder or file of questions (.json, .jsonl)")
    parser.add_argument("--limit", type=positive, help="only the first so many of each set")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--out", type=Path, help="file for all answers and scores, as JSON")
    return parser.parse_args(arguments)


def check_output(path: Path) -> None:
    """Raise RequestError for a file that cannot be written, before hours of answers are lost."""
    try:
        path.open("a").close()
    except OSError as error:
        raise RequestError(
            "{path} cannot be written ({reason}): name another --out.",
            path=path,
            reason=error.strerror,
        ) from error


def run(options: argparse.Namespace) -> int:
    """Run what the options say and return the exit code; sets are read before the model loads."""
    sets = [read_transcriptions(path) for path in options.ocr]
    sets += [read_questions(path) for path in options.charts]
    if options.out:
        check_output(options.out)
    engine = load(options.model, options.device, options.dtype)
    about = describe_run(engine, options.limit)
    print(", ".join(str(about[key]) for key in ("model", "revision", "dtype", "machine")) + "\n")
    tutorials: list[TutorialResult] = []
    scores: list[SetResult] = []
    try:
        for tutorial in TUTORIALS:
            tutorials.append(run_tutorial(engine, tutorial))
        for published in sets:
            scores.append(run_set(engine, published, options.limit))
    finally:  # an interrupted run keeps the sets that it finished
        if options.out:
            results = {
                **about,
                "is_whole": (len(tutorials), len(scores)) == (len(TUTORIALS), len(sets)),
                "tutorials": [asdict(result) for result in tutorials],
                "sets": [asdict(result) for result in scores],
            }
            options.out.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    passed = sum(tutorial.passed for tutorial in tutorials)
    print(f"{passed} of {len(tutorials)} tutorials passed")
    if scores:
        print_table(scores)
    is_proven = passed == len(tutorials) and all(result.score is not None for result in scores)
    return 0 if is_proven else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        return run(parse_options(arguments))
    except RequestError as error:
        print(f"python -m benchmarks.published: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
