"""Delimited tables: TSV and CSV, with or without quotes, with or without a header."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biomtl.errors import InputError, OnError, fail
from biomtl.storage.files import MAX_LINE, atomic_file, read_lines, suffix_of

Line = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its 1-based number (in text files its first line), and its values by column name.

    Without a header the names are ``"0"``, ``"1"`` …
    """

    line: int
    values: Mapping[str, Any]


def read_rows(
    path: str | Path,
    *,
    delimiter: str | None = None,
    quoted: bool | None = None,
    header: bool = True,
    on_error: OnError = fail,
) -> Iterator[Row]:
    """Stream the rows of a table; see `parse`.

    Args:
        path: the table; by default ``.csv`` means commas and quotes, any other name tabs and no quotes.
        delimiter: one character.
        quoted: whether ``"`` encloses fields and ``""`` is an escaped quote (CSV), or quotes are ordinary characters.
        header: whether the first row names the columns.
        on_error: called with the error of each bad row; if it returns, the row is skipped.
    """
    as_csv = suffix_of(path) == ".csv"
    delimiter = delimiter or ("," if as_csv else "\t")
    quoted = as_csv if quoted is None else quoted
    lines = read_lines(path, on_error, ends="\n" if quoted else "\r\n")
    return parse(lines, path, delimiter=delimiter, quoted=quoted, header=header, on_error=on_error)


def parse(
    lines: Iterable[Line],
    where: str | Path,
    *,
    delimiter: str,
    quoted: bool,
    header: bool,
    on_error: OnError = fail,
) -> Iterator[Row]:
    """Stream the rows of numbered lines; blank lines are skipped.

    Line ends inside quotes are the text's own, and offsets count them.

    Raises:
        InputError: a row wider or narrower than the first, a repeated column name, an open quote.
    """
    names: list[str] = []
    for line, cells in _quoted(lines, where, delimiter) if quoted else _plain(lines, delimiter):
        if not names:
            names = cells if header else [str(i) for i in range(len(cells))]
            if twice := {name for name in names if names.count(name) > 1}:
                raise InputError(
                    f"two columns named {min(twice)!r}", path=where, line=line, fix="name each column once"
                )
            if header:
                continue
        if len(cells) != len(names):
            fix = "check the delimiter" if quoted else "check the tabs; cells in quotes need `quoting: csv`"
            expected = f"{len(names)} as in the first row"
            on_error(InputError(f"{len(cells)} column(s)", path=where, line=line, expected=expected, fix=fix))
            continue
        yield Row(line, dict(zip(names, cells, strict=True)))


def _plain(lines: Iterable[Line], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split(delimiter)) for number, line in lines if line.strip())


def _quoted(lines: Iterable[Line], where: str | Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(MAX_LINE)  # csv's own limit of 131,072 characters is less than a long article
    last = 0

    def text() -> Iterator[str]:
        nonlocal last
        for number, line in lines:
            last = number
            yield line + "\n"

    reader = csv.reader(text(), delimiter=delimiter, strict=True)
    while True:
        before = last
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fix = "close the quote, or treat quotes as text (`quoting: none`)"
            raise InputError(f"broken quotes ({error})", path=where, line=before + 1, fix=fix) from error
        if any(cell.strip() for cell in cells) or len(cells) > 1:
            yield before + 1, cells


def in_quotes(cell: str) -> bool:
    """Whether a cell of an unquoted table looks as if a CSV writer had enclosed it in double quotes."""
    return len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', "")


def write_rows(
    rows: Iterable[Mapping[str, str]],
    path: str | Path,
    columns: Sequence[str],
    *,
    delimiter: str | None = None,
    quoted: bool | None = None,
    header: bool = True,
    overwrite: bool = False,
) -> int:
    """Write a table under a temporary name, then rename; returns the number of rows. Arguments as in `read_rows`.

    Raises:
        InputError: a row without one of the columns, a field that an unquoted table can't hold, an existing file.
    """
    as_csv = Path(path).suffix.lower() == ".csv"
    delimiter = delimiter or ("," if as_csv else "\t")
    quoted = as_csv if quoted is None else quoted
    count = 0
    with atomic_file(path, overwrite=overwrite) as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        for cells in _cells(rows, columns, path, header):
            if bad := next((cell for cell in cells if any(c in cell for c in _unsafe(delimiter, quoted))), None):
                raise InputError(
                    f"field {bad[:60]!r}", path=path, expected=f"fields that fit (row {count})", fix="quote"
                )
            if quoted:
                writer.writerow(cells)
            else:
                stream.write(delimiter.join(cells) + "\n")
            count += 1
    return count - header


def _unsafe(delimiter: str, quoted: bool) -> str:
    return "\0\r" if quoted else f"\0\r\n{delimiter}"


def _cells(
    rows: Iterable[Mapping[str, str]], columns: Sequence[str], path: str | Path, header: bool
) -> Iterator[list[str]]:
    if header:
        yield list(columns)
    for number, row in enumerate(rows, 1):
        if missing := [column for column in columns if column not in row]:
            raise InputError(f"row {number} without {missing[0]!r}", path=path, expected=", ".join(columns))
        yield [row[column] for column in columns]
