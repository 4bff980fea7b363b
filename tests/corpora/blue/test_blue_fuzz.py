"""Whatever a file contains, the reader raises only an InputError that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from biomtl.corpora.blue.reader import FAMILIES
from biomtl.corpora.blue.table import split_quoted
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks import get_task
from biomtl.tasks.types.base import check_record

SAMPLES = {
    "chemprot": b'index\tsentence\tlabel\r\n7.T1.T2\t"@CHEMICAL$ ""blocks"" @GENE$."\tCPR:4\r\n7.T1.T3\tA.\tfalse\r\n',
    "biosses": b"index\tg\tf\ty\to\ts\ts\tsentence1\tsentence2\tscore\r\n0\tG\tf\t1\t1\tB\tB\tOne.\tTwo.\t2.4\r\n",
    "mednli": b"label\tindex\tsentence1\tsentence2\nneutral\tp1\tHe coughs.\tHe smokes.\n",
    "hoc": b"index\tlabels\tsentence\n12_s0\t0_0,1_1\tCells died.\n12_s1\t\tNone.\n",
    "bc5cdr-chem": b'Zanolin\t11\t0\tB\nhelps\t-\t8\tO\n\n""""\t12\t0\tO\n',
    "bc5cdr-disease": b"Red\tO\nrash\tB-Disease\n\nNo\tO\n",
    "shareclefe": b'11.0\t["O", "B-Disease"]\t["a", "rash"]\t["0;1", "2;6"]\n',
}
# What breaks readers: separators, quotes, numbers that aren't, half characters, JSON.
PIECES = [b"\t", b"\n", b"\r", b'"', b'""', b"\xc3", b"\0", b"\xef\xbb\xbf", b"nan", b"9" * 5000, b"1e999", b"-", b"{}"]
PIECES += [b"[" * 3000, b"null", b"10_1", b"\xd9\xa3", b"#", b"###x\n", b"index\tsentence\tlabel\n", b" ", b";", b","]
edit = st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES) | st.binary(max_size=8))


def mutate(content: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for where, dropped, piece in edits:
        at = int(where * len(content))
        content = content[:at] + piece + content[at + dropped :]
    return content


@pytest.mark.parametrize("task", SAMPLES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(edit, max_size=4))
@example(edits=[])
def test_only_input_errors(task: str, edits: list[tuple[float, int, bytes]], tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_bytes(mutate(SAMPLES[task], edits))
    record = get_task(task)
    error = None
    try:
        for found in FAMILIES[task](Source(tmp_path), "dev.tsv", record, "dev"):
            check_record(record, found)
    except InputError as caught:
        error = str(caught)
    assert error is None or (edits and "dev.tsv" in error and "\n" not in error)


cell = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=20)


@given(st.lists(cell, min_size=1, max_size=5))
def test_quoted_cells_come_back(cells: list[str]) -> None:
    written = "\t".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    assert split_quoted(written) == cells


@given(st.lists(st.text(st.sampled_from('ab"\t '), max_size=6), min_size=1, max_size=4))
def test_python_agrees_on_well_formed_rows(cells: list[str]) -> None:
    import csv
    import io

    text = "\t".join(cells)
    found = split_quoted(text)
    if found is not None:
        assert next(csv.reader(io.StringIO(text), delimiter="\t", strict=True), [""]) == found
