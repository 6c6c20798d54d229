"""Sets of pictures with known answers, read from local files, and the measures that score them.

Knows two layouts. Transcriptions: a folder of pictures, with a UTF-8 `.txt` of the same stem beside
each. Questions: a `.json` (a list, or an object with the list as "data") or `.jsonl` file of
records with these keys, or a folder with such files:

    image or imgname           file name; searched beside the file, then in png/ and images/ there
    question or query          text
    answers, answer or label   the right answer, or a list of all that are right

ChartQA (imgname, query, label) and DocVQA (image, question, answers) have these keys as published.
Must not know the model.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.printed import judge_text
from phi3v.documents.folders import list_folder
from phi3v.request import RequestError
from phi3v.results.formats import format_answer
from training.scores import edit_distance

Measure = Literal["character error rate", "relaxed accuracy", "ANLS"]

IMAGE_KEYS: Final = ("image", "imgname")
QUESTION_KEYS: Final = ("question", "query")
ANSWER_KEYS: Final = ("answers", "answer", "label")
# ChartQA keeps its pictures in png/; images/ is the usual name elsewhere.
IMAGE_FOLDERS: Final = ("", "png", "images")
TABLES: Final = (".json", ".jsonl")
# What file systems allow; a longer "name" is the picture's own bytes in some encoding.
LONGEST_NAME: Final = 255

# Relative error up to which a number counts as right, and the distance from which a text counts as
# another answer; the sources are named below, at the measures.
TOLERANCE: Final = 0.05
DISTANT: Final = 0.5


@dataclass(frozen=True)
class Item:
    """A picture, what is asked about it and all right answers.

    An empty question asks for the text; name says where the item comes from.
    """

    name: str
    image: Path
    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class PublishedSet:
    """Items in the order of their files; problems name what was skipped, and why."""

    path: str
    measure: Measure
    items: tuple[Item, ...]
    problems: tuple[str, ...]


def read_transcriptions(path: Path) -> PublishedSet:
    """Read a folder of pictures with their texts, or one picture; or questions, as DocVQA's.

    Raises RequestError if the path is missing or has no item that can be used.
    """
    check_path(path)
    if path.suffix.lower() in TABLES or (path.is_dir() and has_only_tables(path)):
        return read_questions(path)
    pictures = [path]
    if path.is_dir():
        pictures = [file for file, reason in list_folder(path) if reason is None]
    found = [read_pair(picture) for picture in pictures if picture.suffix.lower() != ".pdf"]
    return collect_set(path, "character error rate", found)


def read_questions(path: Path) -> PublishedSet:
    """Read the records of a `.json` or `.jsonl` file, or of all those in a folder, by name.

    Where a record has several right answers the set is scored by ANLS, else by relaxed accuracy.
    Raises RequestError if the path is missing or has no item that can be used.
    """
    check_path(path)
    files = find_tables(path) if path.is_dir() else [path]
    if not files:
        raise RequestError(
            "{path} has no .json or .jsonl file with questions (folders in it are not searched): "
            "name the folder that has one, or the file itself.",
            path=path,
        )
    found = [item for file in files for item in read_table(file)]
    has_several = any(len(item.answers) > 1 for item in found if isinstance(item, Item))
    return collect_set(path, "ANLS" if has_several else "relaxed accuracy", found)


def check_path(path: Path) -> None:
    """Raise RequestError for a set that is not there."""
    if not path.exists():
        raise RequestError("There is no folder or file {path}: check the name.", path=path)


def find_tables(folder: Path) -> list[Path]:
    """Return a folder's files of records, sorted by name."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in TABLES)


def has_only_tables(folder: Path) -> bool:
    """True for a folder with files of records, and no text of the same stem as a picture."""
    texts = {file.stem for file in folder.glob("*.txt")}
    others = (file for file in folder.iterdir() if file.suffix.lower() not in (".txt", *TABLES))
    return bool(find_tables(folder)) and not any(file.stem in texts for file in others)


def collect_set(path: Path, measure: Measure, found: Sequence[Item | str]) -> PublishedSet:
    """Separate the items from the problems. Raises RequestError if there is no item."""
    items = tuple(item for item in found if isinstance(item, Item))
    problems = tuple(problem for problem in found if isinstance(problem, str))
    if not items:
        raise RequestError(
            "{path} has no picture with a known answer ({count} skipped{first}). Beside each "
            "picture a .txt of the same name is expected, or records with the keys image, "
            "question and answers in a .json or .jsonl file.",
            path=path,
            count=len(problems),
            first=f"; the first: {problems[0]}" if problems else "",
        )
    return PublishedSet(str(path), measure, items, problems)


def read_pair(picture: Path) -> Item | str:
    """Return a picture with the text beside it, or what is wrong with that text."""
    file = picture.with_suffix(".txt")
    try:
        text = strip_lines(file.read_text("utf-8-sig"))
    except FileNotFoundError:
        return f"{picture.name}: there is no {file.name} beside it"
    except UnicodeDecodeError:
        return f"{file.name}: not encoded as UTF-8"
    return Item(picture.name, picture, "", (text,)) if text else f"{file.name}: empty"


def strip_lines(text: str) -> str:
    """Return a text without the white space that `judge_text` ignores in answers too."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


def read_table(file: Path) -> Iterator[Item | str]:
    """Yield the items of a file of records; for a broken record, or file, what is wrong with it."""
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        yield f"{file.name}: not encoded as UTF-8"
        return
    for place, record, problem in split_records(text, file.suffix.lower() == ".jsonl"):
        name = f"{file.name}, {place}"
        yield f"{name}: {problem}" if problem else read_record(record, name, file)


def split_records(text: str, has_lines: bool) -> Iterator[tuple[str, Any, str]]:
    """Yield a place ("line 3"), what was parsed there, and why nothing could be.

    Many exports named `.json` have an object on each line, so that is tried where the whole is not
    JSON.
    """
    if not has_lines:
        try:
            whole = json.loads(text)
        except ValueError as error:
            if not text.lstrip().startswith("{"):
                yield "as a whole", None, f"no JSON ({error})"
                return
        else:
            records = whole.get("data", [whole]) if isinstance(whole, dict) else whole
            numbered = enumerate(records if isinstance(records, list) else [records], 1)
            yield from ((f"record {number}", record, "") for number, record in numbered)
            return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        record, problem = None, ""
        try:
            record = json.loads(line)
        except ValueError as error:
            problem = f"no JSON ({getattr(error, 'msg', error)})"
        yield f"line {number}", record, problem


def read_record(record: object, name: str, file: Path) -> Item | str:
    """Return a record's item, or what it lacks."""
    if not isinstance(record, dict):
        return f"{name}: no object with keys"
    image, question, wanted = (
        next((record[key] for key in keys if key in record), None)
        for keys in (IMAGE_KEYS, QUESTION_KEYS, ANSWER_KEYS)
    )
    if not isinstance(image, str) or not 0 < len(image.strip()) <= LONGEST_NAME:
        return f"{name}: no file name as {' or '.join(IMAGE_KEYS)}"
    if not isinstance(question, str) or not question.strip():
        return f"{name}: no text as {' or '.join(QUESTION_KEYS)}"
    values = wanted if isinstance(wanted, list) else [wanted]
    answers = [str(value).strip() for value in values if isinstance(value, (str, int, float))]
    if not any(answers):
        return f"{name}: no text or number as {' or '.join(ANSWER_KEYS)}"
    places = [file.parent / folder / image for folder in IMAGE_FOLDERS]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        return f"{name}: there is no picture {image} beside {file.name}"
    # Sets by several annotators repeat answers; the best match decides, so once is enough.
    return Item(name, found, question.strip(), tuple(dict.fromkeys(filter(None, answers))))


def score_text(answer: str, wanted: Sequence[str]) -> float:
    """Return the character error rate of a transcription, without the comments around it.

    Levenshtein distance divided by the length of the text wanted, as in OCR evaluation since Rice,
    Jenkins and Nartker, "The Fourth Annual Test of OCR Accuracy" (1995). It can exceed 1.
    """
    return judge_text(wanted[0])(format_answer(answer, "text").text)


def score_relaxed(answer: str, wanted: Sequence[str]) -> float:
    """Return 1 if the answer is right, with numbers within 5 %, else 0.

    The relaxed accuracy of Methani et al., PlotQA (arXiv 1909.00997), as ChartQA uses it (Masry et
    al., arXiv 2203.10244): other answers must be equal, whatever their case. Here a full stop at
    the end is ignored too. As there, a whole sentence is wrong, and a year is a number like others.
    """
    text = answer.strip().removesuffix(".").lower()
    found = read_number(text)
    for value in wanted:
        target = read_number(value)
        if found is not None and target is not None:
            if abs(found - target) <= TOLERANCE * abs(target):
                return 1.0
        elif text == value.strip().removesuffix(".").lower():
            return 1.0
    return 0.0


def read_number(text: str) -> float | None:
    """Return the number that a text consists of, a hundredth of it before "%", else None."""
    digits = text.strip()
    try:
        number = float(digits.removesuffix("%")) / (100 if digits.endswith("%") else 1)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def score_anls(answer: str, wanted: Sequence[str]) -> float:
    """Return the normalized Levenshtein similarity to the nearest right answer, 0 below one half.

    Its mean over a set is the ANLS of Biten et al., "Scene Text Visual Question Answering" (arXiv
    1905.13648), the measure of DocVQA (arXiv 2007.00398). Case and runs of white space are ignored.
    """
    best = 0.0
    found = " ".join(answer.lower().split())
    for value in wanted:
        target = " ".join(value.lower().split())
        distance = edit_distance(found, target) / max(1, len(found), len(target))
        best = max(best, 1 - distance if distance < DISTANT else 0.0)
    return best


SCORES: Final[dict[Measure, Callable[[str, Sequence[str]], float]]] = {
    "character error rate": score_text,
    "relaxed accuracy": score_relaxed,
    "ANLS": score_anls,
}


def score_set(measure: Measure, scored: Sequence[tuple[Item, float]]) -> float | None:
    """Return a set's score, None without items: for texts, the errors over all characters."""
    if not scored:
        return None
    is_text = measure == "character error rate"
    weights = [len(item.answers[0]) if is_text else 1 for item, _ in scored]
    total = sum(w * score for w, (_, score) in zip(weights, scored, strict=True))
    return total / sum(weights)
