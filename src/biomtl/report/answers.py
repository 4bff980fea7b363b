"""Gold records and predictions of a run, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biomtl.errors import InputError
from biomtl.results import Results
from biomtl.storage.files import read_jsonl
from biomtl.suite import Suite
from biomtl.tasks.task import Split, Task
from biomtl.tasks.types.base import Record


@dataclass(frozen=True)
class Answers:
    """A task's gold records of a split, and the predictions for them in the same order."""

    task: Task
    split: Split
    gold: list[Record]
    predicted: list[Record]

    def __iter__(self) -> Iterator[tuple[Record, Record]]:
        return zip(self.gold, self.predicted, strict=True)


def read_answers(folder: Path, results: Results, suite: Suite) -> tuple[list[Answers], list[str]]:
    """The answers of every scored task, test before dev, and a line about each that can't be shown.

    Args:
        folder: a run, or what ``evaluate`` wrote.
        results: its scores.
        suite: the gold records.
    """
    found: list[Answers] = []
    notes: list[str] = []
    data = results.provenance.get("data")
    for task, splits in results.tasks.items():
        for split in sorted(splits, reverse=True):
            known = data.get(task, {}).get(split) if isinstance(data, dict) else None
            try:
                found.append(_answers(folder, task, split, suite, known))
            except (InputError, OSError) as error:
                notes.append(f"{task}, {split}: {error}")
    return found, notes


def _answers(folder: Path, task: str, split: Split, suite: Suite, known: Any) -> Answers:
    if task not in suite.data or split not in suite[task]:
        raise InputError("the data have no such records")
    if known is not None and known != suite[task].checksums.get(split):
        raise InputError("the data are no longer those that were scored")
    path = folder / "predictions" / task / f"{split}.jsonl"
    if not path.is_file():
        raise InputError("no predictions", path=path)
    gold = suite[task].records(split)
    by_id = {_id(record): record for _, record in read_jsonl(path)}
    missing = [record for record in gold if _id(record) not in by_id]
    if missing:
        raise InputError(f"no prediction for {_id(missing[0])[1]!r}", path=path)
    return Answers(suite.tasks[task], split, gold, [by_id[_id(record)] for record in gold])


def _id(record: Record) -> tuple[str, Any]:
    """What a record is matched by; 1 and ``"1"`` are different ids."""
    value = record.get("id")
    return type(value).__name__, str(value)
