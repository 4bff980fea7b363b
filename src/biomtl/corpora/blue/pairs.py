"""Files of sentence pairs: similarity (MedSTS, BIOSSES) and inference (MedNLI)."""

from __future__ import annotations

from collections.abc import Iterator

from biomtl.corpora.blue.table import Row, Table, read_table
from biomtl.corpora.records import Located
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks.task import Split, Task

COLUMNS = ("index", "label", "sentence1", "sentence2")
STS_B = 10  # columns of GLUE's STS-B, of which every reader takes the last three, whatever their names


def read_similarity(source: Source, name: str, task: Task, split: Split) -> Iterator[Located]:
    """STS-B's ten columns (index, fillers, sentence1, sentence2, score), or four named ones, or MT-DNN's four."""
    where = source.where(name)
    table = read_table(source, name)
    for number, (index, cell, first, second) in _similarity_rows(table):
        score = _number(cell)
        if score is None:
            raise InputError(f"score {cell!r}", path=where, line=number, expected="a number")
        index = index.strip()
        yield Located((where, number), id=index, doc_id=index, text_a=first, text_b=second, score=score)


def _similarity_rows(table: Table) -> Iterator[Row]:
    if table.header is None or len(table.header) < STS_B or set(COLUMNS) <= set(table.header):
        return table.take(COLUMNS, lambda cell: _number(cell) is not None, "score")
    index = table.header.index("index") if "index" in table.header else 0
    return table.pick((index, -1, -3, -2), len(table.header))


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def read_inference(source: Source, name: str, task: Task, split: Split) -> Iterator[Located]:
    """MedNLI with its columns in any order: BLUE's converter and the code that reads its output disagree about it."""
    where = source.where(name)
    for number, (index, label, first, second) in read_table(source, name).take(COLUMNS, task.labels.__contains__):
        index = index.strip()
        yield Located((where, number), id=index, doc_id=index, text_a=first, text_b=second, label=label.strip())
