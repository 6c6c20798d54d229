"""What all readers of tables share: rows of cells, and how a line break in a cell is written."""

import re
from typing import Final

Rows = list[list[str]]

LINE_BREAK: Final = re.compile(r"[ \t]*</?br\b[^<>]*>[ \t]*", re.IGNORECASE)


def clean_cell(cell: str) -> str:
    """Return a cell stripped, with each `<br>`, however it is written, as a line feed."""
    return LINE_BREAK.sub("\n", cell).strip()
