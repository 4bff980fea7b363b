"""Is a table CSV-quoted? Decided for the whole file."""

from __future__ import annotations

from pathlib import Path

import pytest

from biomtl.corpora.blue.table import is_quoted, read_table, split_quoted
from biomtl.corpora.source import Source
from biomtl.errors import InputError

HEADER = "index\tsentence\tlabel\n"


def table(tmp_path: Path, text: str) -> tuple[Source, str]:
    (tmp_path / "dev.tsv").write_bytes(text.encode())
    return Source(tmp_path), "dev.tsv"


@pytest.mark.parametrize(
    ("rows", "quoted"),
    [
        ("1\tA plain row.\tx\n", False),
        ('1\t"A ""tame"" row."\tx\n', True),
        ('1\tA "wild" row.\tx\n2\t"Quite a row."\tx\n', False),
        ('1\t"Begins" with one.\tx\n', False),
        ('1\t"Never closed.\tx\n2\tAnother.\tx\n', False),
        ('1\t"Two\nlines."\tx\n2\tAnother.\tx\n', True),
        # A quote that opens in one row and closes in another would swallow the rows between.
        ('1\t"Opens here.\tx\n2\tcloses there"\tx\n', False),
        # As CSV this row has two columns where the others have three.
        ('1\tA.\tx\n2\t"B\tC"\n', False),
    ],
)
def test_quoting(tmp_path: Path, rows: str, quoted: bool) -> None:
    assert is_quoted(*table(tmp_path, HEADER + rows)) is quoted


def test_quoted_cells() -> None:
    assert split_quoted('a\t"b ""c""\td"\t\t""') == ["a", 'b "c"\td', "", ""]
    assert split_quoted('a\t"b"c') is None
    assert split_quoted('a\tb"c') is None


def test_rows_keep_their_line_numbers(tmp_path: Path) -> None:
    rows = list(read_table(*table(tmp_path, HEADER + '1\t"a\n\nb"\tx\r\n\r\n2\tc\tx')).rows)
    assert rows == [(2, ["1", "a\n\nb", "x"]), (6, ["2", "c", "x"])]


def test_bare_quotes_stay(tmp_path: Path) -> None:
    rows = list(read_table(*table(tmp_path, HEADER + '1\tthe "new" class\tx\n2\t"Whole."\tx\n')).rows)
    assert [cells[1] for _, cells in rows] == ['the "new" class', '"Whole."']


def test_a_stray_quote_reads_no_more_than_a_few_lines(tmp_path: Path) -> None:
    rows = "".join(f"{i}\tsentence {i}\tx\n" for i in range(1000))
    source, name = table(tmp_path, HEADER + 'q\t"stray\tx\n' + rows)
    assert len(list(read_table(source, name).rows)) == 1001


def test_header_by_any_of_its_names(tmp_path: Path) -> None:
    assert read_table(*table(tmp_path, "pairID\tSentence1\tgold_label\n")).header == ("index", "sentence1", "label")
    assert read_table(*table(tmp_path, "1\tfalse\tA sentence.\n")).header is None


def test_empty_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an empty file"):
        read_table(*table(tmp_path, "\n"))
