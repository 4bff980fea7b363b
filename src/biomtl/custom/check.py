"""How a user's file is read: rows, labels, lengths, and every bad row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biomtl.audit.overlap import texts_of
from biomtl.corpora.reader import Record
from biomtl.corpora.records import Located
from biomtl.custom.config import TaskDefinition
from biomtl.custom.detect import detect
from biomtl.custom.survey import RowRules
from biomtl.custom.task import own_task, raw_records
from biomtl.errors import InputError
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import TaskType
from biomtl.tasks.types.checks import WEIGHT, row_weights_note
from biomtl.text.word_rules import describe, learn_words
from biomtl.text.words import words


@dataclass
class CheckReport:
    """The content of a file.

    Attributes:
        format: the format it was read in.
        task: the task as it would be trained; ``None`` if it could not be determined.
        notes: what was inferred.
        problem: why the task could not be determined, if no bad row explains it.
        records: the good rows.
        bad: the problem of each bad row, in file order.
        labels: counts of gold labels; for tagging, of mentions by type.
        lengths: number of words in each good row.
        words: for tagging, notes on how the corpus splits text into words.
        special: counts of mentions that one tag per token can't express, by case (`formats.mentions`).
    """

    format: str
    task: Task | None = None
    notes: tuple[str, ...] = ()
    problem: InputError | None = None
    records: list[Record] = field(default_factory=list)
    bad: list[InputError] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    special: Counter[str] = field(default_factory=Counter)


def check_file(name: str, definition: TaskDefinition, task_type: TaskType) -> CheckReport:
    """Read a definition's training files to the end, even if some rows are bad.

    Raises:
        InputError: a file that can't be read at all, or a definition that doesn't fit it.
    """
    files = definition.files
    path = Path(files.train[0]) if files else Path()
    report = CheckReport(definition.format or detect(path, tagging="tokens" in task_type.inputs))
    try:
        own = own_task(name, definition, task_type)
    except InputError as error:
        # Nothing can be inferred, often because too few rows are good; the user then needs to see the bad ones.
        _sort_out(report, _provisional(name, definition, task_type), definition, task_type)
        if not report.bad:
            raise
        report.problem = error if str(error) not in map(str, report.bad) else None
        return report
    report.task, report.notes = own.task, own.notes
    for record in own.records("train", report.bad.append):
        _count(report, record, task_type, name)
    if not (report.records or report.bad):
        raise InputError("no rows", path=path, expected=f"rows of {report.format}")
    if note := row_weights_note(own.task.name, [record.get(WEIGHT, 1.0) for record in report.records]):
        report.notes += (note,)
    if own.task.inputs == "tokens" and report.records:
        report.words = describe(learn_words(report.records))
    report.bad.sort(key=lambda error: (str(error.path), error.line or 0))
    return report


def _count(report: CheckReport, record: Record, task_type: TaskType, name: str) -> None:
    report.records.append(record)
    report.labels.update(_gold(record, task_type, name))
    report.special.update(getattr(record, "cases", {}))
    report.lengths.append(sum(1 for text in texts_of(record) for _ in words(text)))


def _provisional(name: str, definition: TaskDefinition, task_type: TaskType) -> Task:
    """A task that accepts any score and all labels that occur, to distinguish good rows from bad ones."""
    labels: set[str] = set()
    if task_type.gold_cells.get(task_type.gold_key) in ("text", "texts", "words"):
        for record in raw_records(task_type, definition, task_type.inputs[0], "train", _pass):
            value = record[task_type.gold_key]
            labels.update([value] if isinstance(value, str) else value)
    known = task_type.labels_from(definition.labels or sorted(label for label in labels if label.strip()))
    fields: dict[str, Any] = {"inputs": task_type.inputs[0], "labels": known, "relation": definition.relation}
    fields["unanswerable"] = "answers" in task_type.further_cells
    return Task(name=name, type=task_type.name, metric=task_type.metric, **fields)


def _sort_out(report: CheckReport, task: Task, definition: TaskDefinition, task_type: TaskType) -> None:
    rules = RowRules(task, definition)
    for record in raw_records(task_type, definition, task.inputs, "train", report.bad.append):
        if problem := task_type.check(record, task) or rules.problem(record):
            assert isinstance(record, Located)
            report.bad.append(record.error(problem))
        else:
            _count(report, record, task_type, task.name)
    report.bad.sort(key=lambda error: (str(error.path), error.line or 0))


def _pass(error: InputError) -> None:
    """Skip a bad row: it is counted when the rows are read again."""


def _gold(record: Record, task_type: TaskType, name: str) -> list[str]:
    """A record's gold labels; a mention without a type has the name of its task."""
    value = record[task_type.gold_key]
    cell = task_type.gold_cells[task_type.gold_key]
    if cell == "words":
        return [tag[2:] or name for tag in value if tag.startswith("B")]
    if cell == "texts":
        return list(value) or ["(none)"]
    return [str(value)] if cell == "text" else []
