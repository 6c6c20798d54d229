"""How the result of a page is shown and saved: its format, its unsure words, its files."""

import io
import re
import zipfile
from pathlib import Path
from typing import Final

from gradio.processing_utils import save_bytes_to_cache

from phi3v.conversation.confidence import rate_words
from phi3v.results.formats import SUFFIXES, read_csv
from phi3v.ui import words
from phi3v.ui.i18n.languages import translate
from phi3v.ui.ocr import words as ocr_words
from phi3v.ui.ocr.reading import Reading, Result

# A file's name: longer ones are refused by some file systems, and people do not read them.
LONGEST_NAME: Final = 80

# The mark of an unsure word, which is shown as a colour.
UNSURE: Final = "unsure"

Span = tuple[str, str | None]


def name_choices(reading: Reading) -> list[tuple[str, int]]:
    """The results to choose from, numbered, with what is to be known before looking."""
    return [
        (translate(ocr_words.result_name(index + 1, result.name, mark_result(result))), index)
        for index, result in enumerate(reading.results)
    ]


def mark_result(result: Result) -> str:
    """What is wrong with a result, in a word or two; empty where nothing is."""
    if result.problem:
        return ocr_words.NOT_READ
    return ocr_words.MARKS.get(result.finish_reason or "", "")


def note_result(result: Result) -> str:
    """What is to be known of a result: problems, why it ended, its figures."""
    notes = [translate(result.problem)]
    if result.text or result.finish_reason:
        formatted = result.formatted()
        problem = formatted.problem or ""
        note = words.END_NOTES.get(result.finish_reason or "", "")
        misfit = translate(problem)
        if misfit and formatted.text:
            misfit = f"{translate(ocr_words.NOT_IN_FORMAT)} {misfit}"
        notes += [misfit, translate(note), result.figures]
    return "\n\n".join(filter(None, notes))


def mark_words(result: Result, threshold: float) -> tuple[list[Span], str]:
    """The text in spans, the words below a threshold from 0 to 1 labelled, and a line about them.

    What was cleaned off the answer is left out, as far as the rest stands in it as it is.
    """
    cleaned = result.formatted().text
    start = max(0, result.text.find(cleaned))
    end = start + len(cleaned) if cleaned in result.text else len(result.text)
    spans: list[Span] = []
    at, count, unsure = start, 0, 0
    for word in rate_words(result.tokens):
        if word.start < start or word.end > end:
            continue
        count += 1
        if word.probability < threshold:
            unsure += 1
            spans += [(result.text[at : word.start], None), (word.text, UNSURE)]
            at = word.end
    spans.append((result.text[at:end], None))
    line = ocr_words.count_unsure(unsure, count) if count else ocr_words.NO_PROBABILITIES
    return [span for span in spans if span[0]], translate(line)


def read_table(text: str) -> list[list[str]]:
    """The rows of CSV, each as long as the longest: a table on a page has no ragged edge."""
    rows = read_csv(text) or [[""]]
    width = max(map(len, rows))
    return [[*row, *[""] * (width - len(row))] for row in rows]


def file_name(result: Result, number: int) -> str:
    """The name of a result's file: its number, so that no two are the same, and its page's name."""
    stem = re.sub(r"[^\w.-]+", "-", result.name).strip("-.")[:LONGEST_NAME]
    return f"{number:03}-{stem}{SUFFIXES[result.asked.output_format]}"


def save_result(reading: Reading, index: int, cache: str) -> str | None:
    """Write a result's file into the page's cache and return its path; None where it has no text.

    The cache is emptied of what is older than an hour.
    """
    result = reading.results[index]
    if not result.text:
        return None
    content = result.formatted().text.encode()
    return save_bytes_to_cache(content, file_name(result, index + 1), cache)


def save_all(reading: Reading, cache: str) -> str | None:
    """Write all results into one zip in the page's cache; None where none has text."""
    with_text = [(n, result) for n, result in enumerate(reading.results, 1) if result.text]
    if not with_text:
        return None
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, result in with_text:
            archive.writestr(file_name(result, number), result.formatted().text)
    stem = Path(with_text[0][1].name.partition(",")[0]).stem[:LONGEST_NAME] or "pages"
    return save_bytes_to_cache(buffer.getvalue(), f"{stem}.zip", cache)
