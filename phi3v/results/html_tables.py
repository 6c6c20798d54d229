"""Reads the tables of HTML, as models write it: tags left open, cells that span, stray text.

Knows HTML only; must not know other kinds of tables or output formats.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Final

from phi3v.results.rows import Rows

TABLE_TAG: Final = re.compile(r"<(?P<end>/?)table\b[^>]*>", re.IGNORECASE)
ROW_TAG: Final = re.compile(r"<tr\b", re.IGNORECASE)
# Tags without text of their own. Others, such as <sup>, which changes a number's meaning, and what
# is no tag at all (<none>) stay as they are written.
SILENT_TAGS: Final = frozenset(
    {"html", "body", "table", "thead", "tbody", "tfoot", "caption", "colgroup", "col", "tr", "td"}
    | {"th", "b", "strong", "i", "em", "u", "s", "span", "font", "center", "small", "big", "a"}
    | {"p", "div", "ul", "ol", "li", "br"}
)
LINE_TAGS: Final = frozenset({"br", "p", "div", "li"})
MOST_SPAN: Final = 100  # of columns or rows; a larger number would only fill memory


def split_html(text: str) -> Iterator[tuple[bool, str]]:
    """Yield (is_table, piece) for a text's HTML tables and what is between them, in order."""
    if TABLE_TAG.search(text) is None:
        first = ROW_TAG.search(text)
        at = first.start() if first else len(text)
        yield False, text[:at]
        if first:
            yield True, text[at:]
        return
    depth = begun = 0
    for tag in TABLE_TAG.finditer(text):
        if tag["end"]:
            depth = max(0, depth - 1)
            if depth == 0:
                yield True, text[begun : tag.end()]
                begun = tag.end()
        else:
            if depth == 0:
                yield False, text[begun : tag.start()]
                begun = tag.start()
            depth += 1
    yield depth > 0, text[begun:]


def read_html_tables(text: str) -> list[Rows]:
    """Return the cells of a text's tables; cells under a span are empty, nested tables follow."""
    parser = TableParser()
    parser.feed(text)
    parser.close()
    parser.close_all()
    return [table.rows for table in parser.tables if table.rows]


class OpenTable:
    """A table while it is read: its rows, and the columns that cells above still cover."""

    def __init__(self) -> None:
        self.rows: Rows = []
        self.cell: list[str] | None = None
        self.covered: dict[int, int] = {}  # column: rows left
        self.span = (1, 1)  # columns, rows of the open cell
        self.is_row_open = False

    def open_row(self) -> None:
        """Begin a row."""
        self.close_row()
        self.rows.append([])
        self.is_row_open = True

    def open_cell(self, columns: int, rows: int) -> None:
        """Begin a cell, in a new row if none is open."""
        self.close_cell()
        if not self.is_row_open:
            self.open_row()
        self.cell, self.span = [], (columns, rows)

    def close_cell(self) -> None:
        """End the open cell, if there is one, and fill what it covers."""
        if self.cell is None:
            return
        self._fill_covered()
        row, (columns, rows) = self.rows[-1], self.span
        lines = "".join(self.cell).split("\n")
        for column in range(len(row), len(row) + columns):
            self.covered[column] = rows - 1
        row += ["\n".join(map(str.strip, lines)).strip(), *[""] * (columns - 1)]
        self.cell = None

    def close_row(self) -> None:
        """End the open row, if there is one."""
        self.close_cell()
        if self.is_row_open:
            self._fill_covered()
            if not self.rows[-1]:
                self.rows.pop()
        self.is_row_open = False

    def _fill_covered(self) -> None:
        row = self.rows[-1]
        while self.covered.get(len(row), 0) > 0:
            self.covered[len(row)] -= 1
            row.append("")


class TableParser(HTMLParser):
    """Collects tables; text in a table but in no cell becomes a cell, so that it is not lost."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[OpenTable] = []
        self.open: list[OpenTable] = []
        self.is_caption = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a table, row or cell; keep an unknown tag as text."""
        if tag == "table" or not self.open:
            self.open.append(OpenTable())
            self.tables.append(self.open[-1])
        table = self.open[-1]
        if tag == "tr":
            table.open_row()
        elif tag in ("td", "th"):
            spans = dict(attrs)
            table.open_cell(read_span(spans.get("colspan")), read_span(spans.get("rowspan")))
        elif tag == "caption":
            self.is_caption = True
        elif tag in LINE_TAGS:
            if table.cell:
                table.cell.append("\n")
        elif tag not in SILENT_TAGS:
            self.handle_data(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        """Close a table, row or cell; keep an unknown tag as text."""
        if tag == "caption":
            self.is_caption = False
        elif not self.open:
            return
        elif tag == "table":
            self.open.pop().close_row()
        elif tag == "tr":
            self.open[-1].close_row()
        elif tag in ("td", "th"):
            self.open[-1].close_cell()
        elif tag == "br" and self.open[-1].cell:  # </br>
            self.open[-1].cell.append("\n")
        elif tag not in SILENT_TAGS:
            self.handle_data(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        """Append text to the open cell."""
        if not self.open or self.is_caption:
            return
        table = self.open[-1]
        if table.cell is None and data.strip():
            table.open_cell(1, 1)
        if table.cell is not None:
            table.cell.append(re.sub(r"\s+", " ", data))

    def handle_comment(self, data: str) -> None:
        """Keep what looks like a comment: a cell may have it printed."""
        self.handle_data(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        """Keep what looks like a declaration."""
        self.handle_data(f"<!{decl}>")

    def unknown_decl(self, data: str) -> None:
        """Keep what looks like a marked section."""
        self.handle_data(f"<![{data}]>")

    def handle_pi(self, data: str) -> None:
        """Keep what looks like a processing instruction."""
        self.handle_data(f"<?{data}>")

    def close_all(self) -> None:
        """Close what the text left open."""
        while self.open:
            self.open.pop().close_row()


def read_span(value: str | None) -> int:
    """Return a colspan or rowspan, 1 if it is none."""
    text = (value or "").strip()
    return min(MOST_SPAN, max(1, int(text))) if text.isdecimal() and len(text) < 9 else 1
