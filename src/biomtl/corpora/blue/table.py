"""Tab-separated tables as written by BLUE's release and its converters: some CSV-quoted, some not.

ChemProt's and BIOSSES's files are CSV-quoted, DDI's are not and hold bare double quotes; nothing in the file says
which. So the whole file is scanned first. It is quoted if every row with a double quote is well-formed CSV (quoted
cells begin and end with ``"``, inner ones are doubled) with as many columns as the other rows; one row that a CSV
writer would have written differently, such as ``are "insulin sensitizers"``, makes the file unquoted. A quoted cell
may span lines (the published DDI converter kept the sentences' own line ends) unless it also holds a tab.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from biomtl.corpora.source import Source
from biomtl.errors import InputError

Row = tuple[int, list[str]]

# One name for each column, whatever a release calls it.
COLUMNS = {
    "index": "index", "id": "index", "pairid": "index", "pmid": "index",
    "sentence": "sentence", "text": "sentence", "sentence1": "sentence1", "sentence2": "sentence2",
    "label": "label", "labels": "label", "gold_label": "label", "score": "label",
}  # fmt: skip
_CELL = re.compile(r'"[^"]*(?:""[^"]*)*"|[^"\t]*')
_MOST_LINES = 100  # in one cell; more means a stray quote


@dataclass(frozen=True)
class Table:
    """A table's header, with our column names (None if it has none), and its rows with their line numbers."""

    where: str
    header: tuple[str, ...] | None
    rows: Iterator[Row]

    def take(self, columns: Sequence[str], is_label: Callable[[str], bool], target: str = "label") -> Iterator[Row]:
        """The cells of ``columns``, in that order: by the header's names, or all cells if there is no header.

        Args:
            columns: names in the order of MT-DNN's canonical files, which have no header: index, label, texts.
            is_label: whether a cell can be a label; distinguishes a canonical file from one that lost its header.
            target: the name of the label's column in this kind of file.
        """
        expected = ", ".join(columns).replace("label", target)
        if self.header is None:
            return self._take_canonical(columns, is_label, expected)
        for column in columns:
            if column not in self.header:
                shown = target if column == "label" else column
                raise InputError(f"no column {shown!r}", path=self.where, line=1, expected=f"the columns {expected}")
        positions = [self.header.index(column) for column in columns]
        return self.pick(positions, len(self.header))

    def pick(self, positions: Sequence[int], width: int) -> Iterator[Row]:
        """The cells at ``positions`` of every row; each row must have ``width`` columns."""
        for number, cells in self.rows:
            if len(cells) != width:
                problem = f"{len(cells)} column{'s' if len(cells) > 1 else ''}"
                raise InputError(problem, path=self.where, line=number, expected=f"{width}, separated by tabs")
            yield number, [cells[position] for position in positions]

    def _take_canonical(self, columns: Sequence[str], is_label: Callable[[str], bool], names: str) -> Iterator[Row]:
        first = next(self.rows)
        if len(first[1]) != len(columns) or not is_label(first[1][1]):
            raise InputError("no header", path=self.where, line=first[0], expected=f"a header with the columns {names}")
        rows = replace(self, rows=chain([first], self.rows))
        yield from rows.pick(range(len(columns)), len(columns))


def read_table(source: Source, name: str) -> Table:
    """Open a table; its first row is the header if it names a column that we know.

    Raises:
        InputError: no rows; unreadable or non-UTF-8 text.
    """
    where = source.where(name)
    rows = _rows(source, name, quoted=is_quoted(source, name))
    first = next(rows, None)
    if first is None:
        raise InputError("an empty file", path=where, expected="a header and rows")
    names = [cell.strip().lower() for cell in first[1]]
    if any(cell in COLUMNS for cell in names):
        return Table(where, tuple(COLUMNS.get(cell, cell) for cell in names), rows)
    return Table(where, None, chain([first], rows))


def is_quoted(source: Source, name: str) -> bool:
    """Whether the file is CSV-quoted (see the module docstring)."""
    width = None
    seen = False
    for number, text in _joined(source.lines(name)):
        cells = split_quoted(text)
        if cells is None:
            return False
        if '"' in text:
            seen = True
        if number > 1:  # a header may differ in width (HoC: four names over three columns)
            width = width or len(cells)
            if '"' in text and len(cells) != width:
                return False
    return seen


def split_quoted(text: str) -> list[str] | None:
    """The cells of one tab-separated CSV row; None if it isn't well-formed."""
    if '"' not in text:
        return text.split("\t")
    cells: list[str] = []
    position = 0
    while True:
        match = _CELL.match(text, position)
        assert match is not None  # an empty cell always matches
        raw, position = match.group(), match.end()
        if position < len(text) and text[position] != "\t":
            return None
        cell = raw[1:-1].replace('""', '"') if raw.startswith('"') else raw
        if "\n" in cell and "\t" in cell:
            return None
        cells.append(cell)
        if position == len(text):
            return cells
        position += 1


def _joined(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines; a line with an open quote is joined with the lines up to the closing one."""
    parts: list[str] = []
    first, odd = 0, False
    for number, text in lines:
        if not parts:
            if not text.strip(" "):
                continue
            first = number
        parts.append(text)
        odd ^= text.count('"') % 2 == 1
        if not odd or len(parts) == _MOST_LINES:
            yield first, "\n".join(parts)
            parts, odd = [], False
    if parts:
        yield first, "\n".join(parts)


def _rows(source: Source, name: str, *, quoted: bool) -> Iterator[Row]:
    if not quoted:
        yield from ((number, text.split("\t")) for number, text in source.lines(name) if text.strip(" "))
        return
    for number, text in _joined(source.lines(name)):
        cells = split_quoted(text)
        if cells is None:  # the file changed since it was scanned
            raise InputError("quotes that don't pair up", path=source.where(name), line=number)
        yield number, cells
