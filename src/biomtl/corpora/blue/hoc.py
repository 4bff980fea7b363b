"""Hallmarks of Cancer, one row per sentence (``PMID_s0``) or per document, with labels as codes or names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from biomtl.corpora.blue.table import Row, Table, read_table
from biomtl.corpora.records import Located
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks.task import Split, Task
from biomtl.tasks.types.checks import unknown_label

COLUMNS = ("index", "label", "sentence")
CODE = re.compile(r"(\d+)_(\d+)")


def read_hoc(source: Source, name: str, task: Task, split: Split) -> Iterator[Located]:
    """The rows of one file in any of the published layouts, with labels in the task's order."""
    where = source.where(name)
    for number, (index, cell, text) in _rows(read_table(source, name)):
        try:
            labels = decode_labels(cell, task.labels)
        except ValueError as error:
            raise InputError(str(error), path=where, line=number) from error
        index = index.strip()
        document = index.partition("_")[0]
        yield Located((where, number), id=index, doc_id=document, text=text, labels=labels)


def _rows(table: Table) -> Iterator[Row]:
    if table.header == ("index", "sentence1", "sentence2", "label"):
        # BLUE's converter writes these four names over its three columns: index, sentence, label names.
        return table.pick((0, 2, 1), 3)
    return table.take(COLUMNS, lambda cell: False, "labels")


def decode_labels(cell: str, known: tuple[str, ...]) -> list[str]:
    """Labels of a cell: ``0_0,1_1,…`` (label i has value v), or names joined by ``,`` or ``;``; empty for none.

    Raises:
        ValueError: an unknown label, or a label given with both values.
    """
    items = [item.strip() for item in re.split("[,;]", cell) if item.strip()]
    codes = [CODE.fullmatch(item) for item in items]
    if not any(codes):
        for item in items:
            if problem := unknown_label(item, known):
                raise ValueError(problem)
        return [label for label in known if label in items]
    values: dict[int, str] = {}
    for item, code in zip(items, codes, strict=True):
        if code is None or len(code.group(1)) > 3 or int(code.group(1)) >= len(known) or code.group(2) not in "01":
            raise ValueError(f"unknown label {item!r}, expected 0_0 or 0_1 to {len(known) - 1}_0 or {len(known) - 1}_1")
        if values.setdefault(int(code.group(1)), code.group(2)) != code.group(2):
            raise ValueError(f"label {code.group(1)} is given as both 0 and 1, expected one value per label")
    return [label for i, label in enumerate(known) if values.get(i) == "1"]
