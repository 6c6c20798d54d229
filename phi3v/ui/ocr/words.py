"""English texts of the OCR tab's documents part. Translated when shown."""

from collections.abc import Sequence

from phi3v.translatable import Text, join_texts

DOCUMENTS = "Documents"
FILES = "Pictures and PDFs"
PAGES = "Pages of the PDFs"
PAGES_HINT = "1-3,7 or 5-; empty: all"
FORMAT = "Result as"
INSTRUCTION = "Instruction (if the usual one does not suit)"
READ = "Read"
RESULT = "Result"
RESULTS = "Results"
RAW = "Raw"
TEXT_LAYER = "Text in the PDF"
UNSURE_WORDS = "Unsure words"
THRESHOLD = "Mark words below this probability"
BEING_READ = "Being read"
PROGRESS = "Pages read"
SAVE_PAGE = "Save this page"
SAVE_ALL = "Save all pages (zip)"
OPENING = "Opening…"
NO_FILES = "There is nothing to read yet: add pictures or PDFs first."
READING_ALREADY = "Pages are being read: stop that first, or wait for its end."
NOTHING_CUT = "This page's text is complete: there is nothing to continue."
NOT_READ = "not read"
MARKS = {"length": "cut", "loop": "repeats", "stopped": "stopped", "interrupted": "broken off"}
NOT_IN_FORMAT = "**Not in the format asked for:**"
LOOK_AT = "**To be looked at:**"
MOST_PROBLEMS = 8  # that are listed on the page; the zip's notes have all
FURTHER_PROBLEMS = "And {count} more of this kind."
NO_PROBABILITIES = "How sure the model was is known for complete answers only."
READ_HINT = "Add pictures or PDFs and press Read: the results appear here, page by page."


def page_progress(number: int, total: int, name: str) -> Text:
    """Return the number and name of the page that is being read."""
    return Text("Page {number} of {total}: {name}", number=number, total=total, name=name)


def all_read(total: int, failed: int) -> Text:
    """Return how many of all pages were read, for a reading that was not stopped."""
    if not failed:
        return Text("{done} of {total} pages read.", done=total, total=total)
    return Text(
        "{done} of {total} pages read; what could not be is marked in the results.",
        done=total - failed,
        total=total,
    )


def has_text(characters: int) -> Text:
    """Return that a page of a PDF has text of its own, which need not be read by the model."""
    return Text("This page has text of its own: {count:,} characters.", count=characters)


def partly_read(done: int, total: int) -> Text:
    """Return how many pages were read before a stop."""
    return Text("Stopped after {done} of {total} pages.", done=done, total=total)


def result_name(number: int, name: str, mark: str) -> Text:
    """Return a page's entry in the list of results; mark is its problem in a word, or empty."""
    if not mark:
        return Text("{number}. {name}", number=number, name=name)
    return Text("{number}. {name} ({mark})", number=number, name=name, mark=Text(mark))


def list_problems(problems: Sequence[Text]) -> Text:
    """Return an answer's first problems as one text, and how many more there are."""
    shown = list(problems[:MOST_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(Text(FURTHER_PROBLEMS, count=len(problems) - len(shown)))
    return join_texts(shown, " ")


def count_unsure(unsure: int, count: int) -> Text:
    """Return how many of all words are marked."""
    return Text("{unsure} of {count} words are marked.", unsure=unsure, count=count)
