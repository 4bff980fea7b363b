"""Writes records in the formats of the BLUE benchmark, as its readers here and its own tools take them.

Cells are quoted as a CSV writer does where they have to be, except in DDI, which BLUE released without quotes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from biomtl.corpora.blue.hoc import read_hoc
from biomtl.corpora.blue.ner import read_ner
from biomtl.corpora.blue.pairs import read_inference, read_similarity
from biomtl.corpora.blue.reader import FAMILIES
from biomtl.corpora.blue.relations import read_relations
from biomtl.corpora.blue.table import is_quoted
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of

Record = dict[str, Any]
Rows = Iterator[Sequence[str]]
UNQUOTED = frozenset({"ddi2013"})
STS_B = ["index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2", "score"]
FILLERS = ("genre", "filename", "year", "0", "biomtl", "biomtl")  # of columns that no reader uses


def _relation(task: Task, record: Record) -> Rows:
    """Both mentions masked; all labels of a pair have its index."""
    yield record["id"].partition("#")[0], type_of(task).text(record, task).texts[0], record["label"]


def _similarity(task: Task, record: Record) -> Rows:
    yield record["id"], *FILLERS, record["text_a"], record["text_b"], str(float(record["score"]))


def _inference(task: Task, record: Record) -> Rows:
    yield record["id"], record["text_a"], record["text_b"], record["label"]


def _hoc(task: Task, record: Record) -> Rows:
    codes = (f"{i}_{int(label in record['labels'])}" for i, label in enumerate(task.labels))
    yield record["id"], record["text"], ",".join(codes)


def _ner(task: Task, record: Record) -> Rows:
    """A row for each token, without types, as each task has one; the first has the document, and a blank line ends."""
    documents = [record["doc_id"], *["-"] * (len(record["tokens"]) - 1)]
    cells = (record["tokens"], documents, record["offsets"], record["tags"])
    for token, document, (start, _), tag in zip(*cells, strict=True):
        yield token, document, str(start), tag[:1]
    yield ()


Family = tuple[Sequence[str], Callable[[Task, Record], Rows]]
WRITERS: dict[Callable[..., Any], Family] = {
    read_relations: (("index", "sentence", "label"), _relation),
    read_similarity: (STS_B, _similarity),
    read_inference: (("index", "sentence1", "sentence2", "label"), _inference),
    read_hoc: (("index", "sentence", "labels"), _hoc),
    read_ner: ((), _ner),
}


class BlueWriter:
    """Writes one split of a task of the benchmark.

    Args:
        path: the file.
        task: one of the ten tasks.

    Raises:
        InputError: another task.
    """

    def __init__(self, path: Path, task: Task) -> None:
        if task.name not in FAMILIES:
            raise InputError(f"task {task.name} in BLUE's format", expected=f"one of: {', '.join(FAMILIES)}")
        self.path, self.task = path, task
        header, self._rows_of = WRITERS[FAMILIES[task.name]]
        self._stream = path.open("w", encoding="utf-8", newline="")
        self._table = csv.writer(self._stream, delimiter="\t", lineterminator="\n") if header else None
        if self._table:
            self._table.writerow(header)

    def __enter__(self) -> BlueWriter:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def write(self, record: Record) -> None:
        """Append a record.

        Raises:
            InputError: a token with a tab or a line end.
        """
        for row in self._rows_of(self.task, record):
            if self._table:
                self._table.writerow(row)
            elif fits(row):
                self._stream.write("\t".join(row) + "\n")
            else:
                raise InputError(f"a token with a tab or a line end: {row!r:.80}", path=self.path, expected="none")

    def finish(self) -> None:
        """Close the file, without quotes if BLUE's has none and it is read back as the same rows."""
        self._stream.close()
        if self.task.name not in UNQUOTED:
            return
        plain = self.path.with_name(f"{self.path.name}.plain")
        with self.path.open(encoding="utf-8", newline="") as quoted, plain.open("w", encoding="utf-8") as target:
            rows = csv.reader(quoted, delimiter="\t")
            same = all(fits(row) and target.write("\t".join(row) + "\n") for row in rows)
        if same and not is_quoted(Source(plain), plain.name):
            plain.replace(self.path)
        else:
            plain.unlink()


def fits(row: Sequence[str]) -> bool:
    """Whether a row can be written without quotes."""
    return all({"\t", "\n", "\r"}.isdisjoint(cell) for cell in row)
