"""Formats results of pages for display and download: notes, unsure words, tables, files.

Knows no components and events.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gradio.processing_utils import save_bytes_to_cache

from phi3v.conversation.confidence import rate_words
from phi3v.results.formats import SUFFIXES
from phi3v.results.rows import Rows
from phi3v.ui import words
from phi3v.ui.i18n.languages import translate
from phi3v.ui.ocr import words as ocr_words
from phi3v.ui.ocr.reading import Reading, Result

# Characters of a file's name: some file systems refuse longer ones, and nobody reads them.
MAX_NAME_LENGTH: Final = 80

# The file in the zip that says what is to be known about the others.
NOTES_FILE: Final = "notes.txt"
# Label of an unsure word, which is shown as a colour.
UNSURE: Final = "unsure"

Span = tuple[str, str | None]


def name_choices(reading: Reading) -> list[tuple[str, int]]:
    """Return (entry, index) pairs of all results, numbered and marked with their problems."""
    return [
        (translate(ocr_words.result_name(index + 1, result.name, mark_result(result))), index)
        for index, result in enumerate(reading.results)
    ]


def mark_result(result: Result) -> str:
    """Return a result's problem in a word or two; empty if there is none."""
    if result.problem:
        return ocr_words.NOT_READ
    return ocr_words.MARKS.get(result.finish_reason or "", "")


def note_result(result: Result) -> str:
    """Return the note on a result: its problems, why it ended, its statistics."""
    notes = [translate(result.problem), translate(result.blank)]
    if result.text or result.finish_reason:
        formatted = result.formatted()
        note = words.END_NOTES.get(result.finish_reason or "", "")
        misfit = translate(ocr_words.list_problems(formatted.problems))
        if misfit and formatted.text:
            title = ocr_words.LOOK_AT if formatted.fits else ocr_words.NOT_IN_FORMAT
            misfit = f"{translate(title)} {misfit}"
        notes += [misfit, translate(note), result.figures]
    if result.layer:
        notes.append(translate(ocr_words.has_text(len(result.layer))))
    return "\n\n".join(filter(None, notes))


def mark_words(result: Result, threshold: float) -> tuple[list[Span], str]:
    """Return the text as spans, with words below a probability (0 to 1) labelled, and their count.

    Comments that cleaning removes are left out, provided that the cleaned text is a substring of
    the answer; otherwise the whole answer is used.
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


def pad_table(tables: Sequence[Rows]) -> Rows:
    """Return the rows of all tables, padded to equal length: what is shown must be rectangular."""
    rows = [row for table in tables for row in table] or [[""]]
    width = max(map(len, rows))
    return [[*row, *[""] * (width - len(row))] for row in rows]


def file_name(result: Result, number: int) -> str:
    """Return a result's file name: its number, which makes it unique, and its page's name."""
    stem = re.sub(r"[^\w.-]+", "-", result.name).strip("-.")[:MAX_NAME_LENGTH]
    return f"{number:03}-{stem}{SUFFIXES[result.options.output_format]}"


def save_result(reading: Reading, index: int, cache: str) -> str | None:
    """Write a result's file into the page's cache; return its path, None for an empty result.

    Gradio deletes files in the cache after an hour, see DELETE_CACHE in phi3v.ui.page.
    """
    result = reading.results[index]
    if not result.text:
        return None
    content = result.formatted().text.encode()
    return save_bytes_to_cache(content, file_name(result, index + 1), cache)


def write_notes(reading: Reading) -> str:
    """Return what is to be known about the results of a reading, one paragraph each; may be empty.

    Which pages were not read, which answers were cut, and which rows are to be looked at.
    """
    paragraphs = []
    for number, result in enumerate(reading.results, 1):
        notes = [result.problem]
        if result.text or result.finish_reason:
            notes += [*result.formatted().problems]
            notes.append(words.END_NOTES.get(result.finish_reason or "", ""))
        lines = [re.sub(r"\*\*", "", translate(note)) for note in notes if note]
        if lines:
            name = file_name(result, number) if result.text else result.name
            paragraphs.append("\n".join([name, *lines]) + "\n")
    return "\n".join(paragraphs)


def save_all(reading: Reading, cache: str) -> str | None:
    """Write all results into one zip in the page's cache; return its path, None without text."""
    with_text = [(n, result) for n, result in enumerate(reading.results, 1) if result.text]
    if not with_text:
        return None
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, result in with_text:
            archive.writestr(file_name(result, number), result.formatted().text)
        if notes := write_notes(reading):
            archive.writestr(NOTES_FILE, notes)
    stem = Path(with_text[0][1].name.partition(",")[0]).stem[:MAX_NAME_LENGTH] or "pages"
    return save_bytes_to_cache(buffer.getvalue(), f"{stem}.zip", cache)
