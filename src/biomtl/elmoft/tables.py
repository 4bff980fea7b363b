"""The tables that ``elmoft`` writes to the run folder: ``pred_*`` and ``perf_*``, as csv and xlsx."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from biomtl.elmoft.reference import NAME, reference_scores
from biomtl.results import SplitScore
from biomtl.storage.files import atomic_file
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of

Record = dict[str, Any]
Row = Mapping[str, Any]
BLUE = "BLUE"
PERF = ("name", "value", "precision", "recall", "f1-score", "support", "low", "high", "protocol")


def write_tables(
    folder: Path,
    split: str,
    task: Task,
    gold: Sequence[Record],
    predicted: Sequence[Record],
    score: SplitScore,
    *,
    reference: bool,
) -> list[Row]:
    """Write a split's tables; returns the rows by the old program's rules, if requested.

    Args:
        folder: the run folder.
        split: dev or test.
        task: the task.
        gold: its records.
        predicted: the predictions, in the same order.
        score: the task's score on the split.
        reference: whether to write ``perf_reference_*`` too.
    """
    write_table(folder / f"pred_{split}", prediction_rows(task, gold, predicted))
    write_table(folder / f"perf_{split}", score_rows(score), PERF)
    if not reference:
        return []
    rows: list[Mapping[str, Any]] = [{**row, "protocol": NAME} for row in reference_scores(task, gold, predicted)]
    write_table(folder / f"perf_reference_{split}", rows, PERF)
    return rows


def prediction_rows(task: Task, gold: Sequence[Record], predicted: Sequence[Record]) -> list[Row]:
    """The input table with the predicted label (tag, score) in its column and the original value as ``gold``."""
    rows: list[Row] = []
    answer = type_of(task).answer
    for record, prediction in zip(gold, predicted, strict=True):
        if answer == "tags":
            owners = [record["doc_id"], *["-"] * (len(record["tokens"]) - 1)]
            words = zip(record["tokens"], owners, record["offsets"], prediction["tags"], record["tags"], strict=True)
            for token, owner, (start, _), tag, wanted in words:
                rows.append({"token": token, "docid": owner, "offset": start, "label": tag, "gold": wanted})
            continue
        texts = (
            {"sentence1": record["text_a"], "sentence2": record["text_b"]}
            if task.inputs == "pair"
            else {"sentence": record["text"]}
        )
        answers = {answer: _cell(task, prediction), "gold": _cell(task, record)}
        rows.append({"index": record["id"], **texts, **answers})
    return rows


def _cell(task: Task, record: Record) -> Any:
    answer = type_of(task).answer
    if answer == "labels":
        return ",".join(f"{i}_{int(label in record['labels'])}" for i, label in enumerate(task.labels))
    return record[answer]


def score_rows(score: SplitScore) -> list[Row]:
    """One row per metric, the main one first, then one row per label."""
    rows: list[Row] = []
    for metric in score.metrics.values():
        shown = {key: getattr(metric, key) for key in ("value", "precision", "recall", "support", "low", "high")}
        rows.append({"name": metric.title, **shown, "protocol": BLUE})
    for label in score.metrics[score.main].labels:
        shown = {key: getattr(label, key) for key in ("precision", "recall", "support")}
        rows.append({"name": label.label, **shown, "f1-score": label.f1, "protocol": BLUE})
    return rows


def write_table(stem: Path, rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
    """``STEM.csv``, and ``STEM.xlsx`` if openpyxl is installed; missing values are empty cells."""
    columns = columns or list(rows[0])
    cells = [[row.get(column) for column in columns] for row in rows]
    with atomic_file(stem.with_name(f"{stem.name}.csv"), newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([columns, *cells])
    if can_write_xlsx():
        _write_xlsx(stem.with_name(f"{stem.name}.xlsx"), columns, cells)


def can_write_xlsx() -> bool:
    """Whether openpyxl is installed."""
    return find_spec("openpyxl") is not None


def _write_xlsx(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = Workbook(write_only=True)
    sheet = book.create_sheet(path.stem[:31])
    sheet.append(list(columns))
    for row in rows:
        cells = []
        for value in row:
            text = isinstance(value, str)
            cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub(" ", value) if text else value)
            if text:
                cell.data_type = "s"  # a sentence that begins with "=" is not a formula
            cells.append(cell)
        sheet.append(cells)
    with atomic_file(path, "wb") as stream:
        book.save(stream)
