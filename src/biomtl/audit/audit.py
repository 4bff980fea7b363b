"""Overlap between a prepared suite's training and scored splits, their sizes, and the cost of truncation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from biomtl.audit.minhash import JACCARD, Words, near_duplicates
from biomtl.audit.overlap import Place, Record, comparable, document_key, texts_of
from biomtl.audit.truncation import Loss, Pieces, lost, word_starts
from biomtl.errors import InputError
from biomtl.storage.files import read_jsonl
from biomtl.tasks.task import SPLITS, Split, Task
from biomtl.tasks.types.base import check_record
from biomtl.text.tags import chunks
from biomtl.text.words import words

LIMIT = 128  # where most published recipes truncate
Step = Callable[[str], None]


@dataclass(frozen=True)
class Overlap:
    """What one task's train split has in common with a split that is scored.

    Attributes:
        train: the training task.
        scored: the task and split that is scored.
        documents: documents in both.
        same: rows of the scored split with a text that also occurs in train, word for word.
        near: rows with a near-duplicate text in train but no identical one.
        touched: rows of the scored split with any of these.
        rows: all rows of the scored split.
        train_rows: training rows with any of these, which ``exclude_overlap`` could drop.
    """

    train: str
    scored: Place
    documents: int
    same: int
    near: int
    touched: int
    rows: int
    train_rows: int

    @property
    def share(self) -> float:
        """The share of scored rows with any of these."""
        return self.touched / max(self.rows, 1)


@dataclass(frozen=True)
class SplitFacts:
    """Size, labels, lengths in words and truncation losses of one split."""

    task: str
    split: Split
    rows: int
    documents: int
    texts: int
    labels: dict[str, int]
    words: dict[str, float]
    loss: Loss


@dataclass(frozen=True)
class Audit:
    """The whole report."""

    overlaps: list[Overlap]
    splits: list[SplitFacts]
    settings: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        overlaps = [{**asdict(entry), "scored": list(entry.scored), "share": entry.share} for entry in self.overlaps]
        return {"settings": self.settings, "overlaps": overlaps, "splits": [asdict(facts) for facts in self.splits]}


@dataclass
class _Split:
    """A split as the comparison sees it; rows are numbered from 0."""

    task: Task
    split: Split
    rows: int = 0
    documents: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    texts: dict[Words, set[int]] = field(default_factory=lambda: defaultdict(set))

    def add(self, record: Record) -> None:
        document = document_key(self.task.name, record)
        self.documents[f"\t{self.rows}" if document is None else document].add(self.rows)
        for text in comparable(record):
            self.texts[text].add(self.rows)
        self.rows += 1


Splits = Iterable[tuple[Task, Split, Iterable[Record]]]


def audit(
    suite: str | Path | Splits,
    *,
    limit: int = LIMIT,
    pieces: Pieces = word_starts,
    threshold: float = JACCARD,
    step: Step = lambda what: None,
) -> Audit:
    """Audit a suite.

    Args:
        suite: a folder as ``biomtl prepare`` writes it, or every task's splits with their records.
        limit: positions of a text that a truncating tool keeps, including special ones if ``pieces`` counts them.
        pieces: where a text's positions begin; default its words.
        threshold: the lowest Jaccard index of near-duplicates.
        step: called with a description of each step.

    Raises:
        InputError: no prepared suite, a broken file, or datasketch isn't installed.
    """
    splits: list[_Split] = []
    facts: list[SplitFacts] = []
    for task, split, records in _prepared(suite) if isinstance(suite, str | Path) else suite:
        step(f"reading {task.name}, {split}")
        splits.append(_Split(task, split))
        facts.append(_facts(splits[-1], list(records), limit, pieces))
    step("comparing texts")
    settings = {"limit": limit, "jaccard": threshold, "near_duplicates": "Jaccard index of neighbouring word pairs"}
    return Audit(_overlaps(splits, threshold), facts, settings)


def _prepared(folder: str | Path) -> Splits:
    paths = sorted(Path(folder).glob("*/task.yaml"))
    if not paths:
        fix = "run `biomtl prepare`, or give a recipe (.yaml)"
        raise InputError("no prepared task", path=folder, expected="<task>/task.yaml", fix=fix)
    for path in paths:
        task = Task.read(path)
        for split in SPLITS:
            file = path.parent / task.files.get(split, f"{split}.jsonl")
            if file.is_file():
                yield task, split, _checked(task, file)


def _checked(task: Task, file: Path) -> Iterator[Record]:
    """A split's records, each as its task wants it."""
    for number, record in read_jsonl(file):
        if problem := check_record(task, record):
            raise InputError(problem, path=file, line=number)
        yield record


def _facts(split: _Split, records: Sequence[Record], limit: int, pieces: Pieces) -> SplitFacts:
    labels: Counter[str] = Counter()
    lengths = []
    for record in records:
        split.add(record)
        labels.update(_labels(split.task, record))
        lengths.append(sum(1 for text in texts_of(record) for _ in words(text)))
    counted = np.array(lengths or [0])
    stats = {"mean": float(counted.mean()), "median": float(np.median(counted))}
    stats |= {"95 %": float(np.percentile(counted, 95)), "longest": float(counted.max())}
    place = split.task.name, split.split
    sizes = split.rows, len(split.documents), len(split.texts)
    return SplitFacts(*place, *sizes, dict(sorted(labels.items())), stats, lost(records, limit, pieces))


def _labels(task: Task, record: Record) -> Iterator[str]:
    """The gold labels: one class, several, or the types of the mentions (of the chunks, if no tag begins one)."""
    if "tags" in record and not any(label.startswith("B") for label in task.labels):
        yield from (name for _, _, name in chunks(record["tags"]))
    elif "tags" in record:
        yield from (tag[2:] or "mention" for tag in record["tags"] if tag.startswith("B"))
    elif isinstance(record.get("labels"), list):
        yield from record["labels"] or ["(none)"]
    elif "label" in record:
        yield str(record["label"])


def _overlaps(splits: list[_Split], threshold: float) -> list[Overlap]:
    """Every training split against every scored one; pairs with nothing in common are left out."""
    training = [split for split in splits if split.split == "train"]
    scored = [split for split in splits if split.split != "train"]
    partners: dict[Words, list[Words]] = defaultdict(list)
    queries = dict.fromkeys(text for split in training for text in split.texts)
    known = dict.fromkeys(text for split in scored for text in split.texts)
    for query, duplicate in near_duplicates(queries, known, threshold):
        partners[query].append(duplicate)
    overlaps = [_overlap(one, other, partners) for one in training for other in scored]
    return [overlap for overlap in overlaps if overlap.touched]


def _overlap(train: _Split, scored: _Split, partners: dict[Words, list[Words]]) -> Overlap:
    documents = {name for name in train.documents.keys() & scored.documents.keys() if not name.startswith("\t")}
    touched = {row for document in documents for row in scored.documents[document]}
    dropped = {row for document in documents for row in train.documents[document]}
    same: set[int] = set()
    near: set[int] = set()
    for text in train.texts.keys() & partners.keys():
        for other in partners[text]:
            if other in scored.texts:
                (same if other == text else near).update(scored.texts[other])
                dropped |= train.texts[text]
    near -= same
    return Overlap(
        train.task.name,
        (scored.task.name, scored.split),
        len(documents),
        len(same),
        len(near),
        len(touched | same | near),
        scored.rows,
        len(dropped),
    )
