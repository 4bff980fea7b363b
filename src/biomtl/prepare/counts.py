"""Expected and found counts of a corpus, and known explanations of their differences."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from biomtl.corpora.reader import ReadOptions
from biomtl.tasks.task import SPLITS, Split, Task
from biomtl.tasks.types.base import type_of

Kind = Literal["original", "blue"]
ROWS = ("rows", "pairs", "sentences")  # what a catalogue calls a task's records
SPECIAL = ("discontinuous", "nested", "overlapping", "dropped")
DROPPED = (
    "mentions that share text with a longer one were dropped, since one tag per token can't express both (--mentions)"
)


class Tally:
    """Counts over the records of one split."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._labels: Counter[str] = Counter()
        self._documents: set[str] = set()
        self._document: str | None = None
        self.cases: Counter[str] = Counter()
        """Special mentions by what they are, and how many were dropped (see `corpora.mentions`)."""
        self.rows = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one record."""
        self.rows += 1
        if record["doc_id"] != self._document:  # a document's records are usually consecutive
            self._document = record["doc_id"]
            self._documents.add(self._document)
        if "label" in record:
            self._labels[record["label"]] += 1
        else:
            self._labels.update(record.get("tags") or record.get("labels") or ())
        self.cases.update(getattr(record, "cases", {}))

    @property
    def documents(self) -> int:
        """Number of documents that the records come from."""
        return len(self._documents)

    def count(self, key: str) -> int:
        """The count that a catalogue names: rows, documents, positives, mentions (``B`` tags), words, or a label."""
        if key in ROWS:
            return self.rows
        if key == "documents":
            return self.documents
        if key == "positives":
            return sum(count for label, count in self._labels.items() if label != self._task.negative)
        if key == "labelled words":
            return sum(count for tag, count in self._labels.items() if tag != "O")
        if key == "mentions":
            return sum(count for label, count in self._labels.items() if label.startswith("B-"))
        return self.cases[key] if key in SPECIAL else self._labels[key]

    def keys(self) -> list[str]:
        """The counts that apply to this task, expected or not."""
        unit = {"pair": "pairs", "tokens": "sentences"}.get(self._task.inputs, "rows")
        answer = type_of(self._task).answer
        unit = "sentences" if answer == "labels" else unit
        words = "mentions" if any(label.startswith("B") for label in self._task.labels) else "labelled words"
        labels = [words] if answer == "tags" else list(self._task.labels)
        return [unit, *labels, *(case for case in SPECIAL if self.cases[case])]


@dataclass(frozen=True)
class Line:
    """One line of the counts table.

    ``explanations`` are (part of the difference, reason); ``unexplained`` is the rest of the difference, and ``remark``
    says what is known about it.
    """

    task: str
    split: Split
    label: str
    expected: int | None
    found: int | None
    explanations: tuple[tuple[int, str], ...] = ()
    remark: str = ""

    @property
    def difference(self) -> int | None:
        """Found minus expected; ``None`` if either is unknown."""
        return None if self.expected is None or self.found is None else self.found - self.expected

    @property
    def unexplained(self) -> int:
        """The part of the difference that no explanation covers."""
        return (self.difference or 0) - sum(amount for amount, _ in self.explanations)

    def as_dict(self) -> dict[str, Any]:
        """The line as plain values."""
        explanations = [{"difference": amount, "why": why} for amount, why in self.explanations]
        derived = {"difference": self.difference, "unexplained": self.unexplained, "explanations": explanations}
        return asdict(self) | derived


def compare(
    task: Task, tallies: Mapping[Split, Tally], distribution: Kind, options: ReadOptions | None = None
) -> list[Line]:
    """The lines of one task: all expected counts, then further counts; a split without data has no ``found``.

    Args:
        task: the task; its catalogue has the expected counts.
        tallies: the counts of the splits that were read.
        distribution: whether an original distribution or a benchmark's files were read.
        options: the reader's options.
    """
    lines = [line for split in SPLITS for line in _lines(task, split, tallies.get(split))]
    by_label: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.label == "mentions" and (dropped := tallies[line.split].cases["dropped"] if line.found else 0):
            line = replace(line, explanations=((-dropped, DROPPED),))
        by_label[line.label].append(line)
    final = {
        (line.split, line.label): explain(
            line, distribution, options or ReadOptions(), {other.split: other for other in others}
        )
        for others in by_label.values()
        for line in others
    }
    return [final[line.split, line.label] for line in lines]


def _lines(task: Task, split: Split, tally: Tally | None) -> Iterator[Line]:
    """One split's lines, without explanations."""
    expected = task.catalogue.expected.get(split, {}) if task.catalogue else {}
    keys = list(expected) + [key for key in (tally.keys() if tally else ()) if key not in expected]
    if any(key in expected for key in ROWS):  # the same count under another name
        keys = [key for key in keys if key in expected or key not in ROWS]
    for key in keys:
        yield Line(task.name, split, key, expected.get(key), tally.count(key) if tally else None)


def explain(line: Line, distribution: Kind, options: ReadOptions, splits: Mapping[Split, Line] | None = None) -> Line:
    """The line with the known deviations that explain its difference, each with its share.

    Args:
        line: expected and found.
        distribution: what was read.
        options: what the reader was told to do.
        splits: the same count in every split.
    """
    for entry in deviations():
        wrong_option = "option" in entry and not getattr(options, entry["option"])
        if entry["task"] != line.task or entry.get("kind", distribution) != distribution or wrong_option:
            continue
        if amount := _part(entry, line, splits or {}):
            line = replace(line, explanations=(*line.explanations, (amount, entry["why"])))
        left_open = entry.get("splits", {}).get(line.split, {}).get("open", {})
        if line.unexplained and left_open.get(line.label) == line.unexplained:
            line = replace(line, remark=entry["why"])
    return line


def _part(entry: Mapping[str, Any], line: Line, splits: Mapping[Split, Line]) -> int:
    """How much of the unexplained difference an entry explains."""
    left = line.unexplained
    if line.split in entry.get("divided", ()):
        others = [splits[split] for split in entry["divided"] if split in splits]
        whole = len(others) == len(entry["divided"]) and all(other.difference is not None for other in others)
        return left if whole and sum(other.unexplained for other in others) == 0 else 0
    here = entry.get("splits", {}).get(line.split, {})
    if here.get("found", {}).get(line.label, -1) == line.found or line.label in here.get("varies", ()):
        return left
    shift: int = here.get("shift", {}).get(line.label, 0)
    # Where a source doesn't have the deviation, applying it would only enlarge the difference.
    return shift if abs(left - shift) < abs(left) else 0


@cache
def deviations() -> Sequence[dict[str, Any]]:
    """The entries of ``deviations.yaml``."""
    text = (resources.files("biomtl.prepare") / "deviations.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)
