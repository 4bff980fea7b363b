"""Gold and predicted records, aligned as the values that metrics read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biomtl.errors import InputError
from biomtl.scoring import table
from biomtl.scoring.concepts import ConceptPair, concept_pairs
from biomtl.scoring.entities import EntityKey, tagged_mentions
from biomtl.scoring.labels import LabelCounts, count_sets
from biomtl.scoring.measure import Floats, Ints
from biomtl.scoring.table import Table
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of


@dataclass(frozen=True)
class Matched:
    """Gold and predicted values of the same rows.

    ``gold`` and ``predicted`` have a tuple or set of label indices, a score, or a list of tags per row; ``unit_of`` has
    the row's unit (document). ``labels`` are the task's labels, for tagging its entity types. Mentions are None if the
    records have no offsets; a file of mentions instead of tags gives nothing else. ``concepts`` has each row's pairs of
    concepts, and is None if no gold record has any.
    """

    task: Task
    labels: tuple[str, ...]
    gold: list[Any]
    predicted: list[Any]
    unit_of: Ints
    units: int
    documents: tuple[str, ...] = ()
    gold_mentions: tuple[EntityKey, ...] | None = None
    predicted_mentions: tuple[EntityKey, ...] | None = None
    probabilities: Floats | None = None
    """``[rows, labels]``, if any prediction of a class has them; a row without is certain, one without numbers NaN."""
    concepts: list[tuple[ConceptPair, ...]] | None = None

    @cached_property
    def counts(self) -> LabelCounts:
        """Rows per unit and label."""
        return count_sets(self.labels, self.gold, self.predicted, self.unit_of)

    def positive(self) -> LabelCounts:
        """The same without the negative class."""
        return self.counts.only([label for label in self.labels if label != self.task.negative])

    def positive_rows(self) -> tuple[NDArray[np.bool_], Floats, Ints]:
        """Of a task with two classes: whether gold is the positive one, its predicted probability, and the units.

        The positive class is the one that isn't the negative; without a negative class the second. Predictions
        without probabilities count as certain.
        """
        at = 1 - self.labels.index(self.task.negative) if self.task.negative is not None else 1
        gold = np.array([row[0] == at for row in self.gold], dtype=bool)
        if self.probabilities is not None:
            if (bad := np.flatnonzero(~np.isfinite(self.probabilities[:, at]))).size:
                raise InputError(f"gold row {bad[0] + 1}: predicted probabilities", expected="a number for every label")
            return gold, self.probabilities[:, at], self.unit_of
        return gold, np.array([float(row[0] == at) for row in self.predicted]), self.unit_of

    def numbers(self) -> tuple[Floats, Floats, Ints]:
        """Gold and predicted scores as arrays."""
        return np.array(self.gold, dtype=np.float64), np.array(self.predicted, dtype=np.float64), self.unit_of


Read = Callable[[Table, Task], list[Any]]


def matched_rows(task: Task, gold: Table, predicted: Table, read: Read | None = None) -> tuple[Matched, str]:
    """Gold and predicted values by row, and the units of the bootstrap.

    ``read`` takes the values of a task type that isn't one of those known here.
    """
    order = table.match(gold, predicted, repeated=task.relation is not None)
    if read is None:
        gold_values, predicted_values, labels = _values(task, gold, predicted)
    else:
        gold_values, predicted_values, labels = read(gold, task), read(predicted, task), task.labels
    predicted_values = [predicted_values[row] for row in order]
    known = [table.document_of(record) for record in gold.records]
    names = [name or f"row {row}" for row, name in enumerate(known)]
    documents = {name: unit for unit, name in enumerate(dict.fromkeys(names))}
    unit_of = np.array([documents[name] for name in names], dtype=np.int64)
    unit = "row" if len(documents) == len(names) else "document"
    mentions: tuple[tuple[EntityKey, ...], tuple[EntityKey, ...]] | tuple[None, None] = (None, None)
    if type_of(task).answer == "tags":
        _same_lengths(gold, predicted, order, gold_values, predicted_values)
        offsets = _offsets(gold, gold_values)
        if offsets is not None:
            first, second = (
                tagged_mentions(zip(names, offsets, side, strict=True)) for side in (gold_values, predicted_values)
            )
            mentions = (tuple(first), tuple(second))
    values = (gold_values, predicted_values)
    probabilities = _probabilities(predicted, order, labels) if type_of(task).answer == "label" else None
    matched = Matched(task, labels, *values, unit_of, len(documents), tuple(documents), *mentions)
    return replace(matched, probabilities=probabilities, concepts=concept_pairs(task, gold)), unit


def _probabilities(predicted: Table, order: list[int], labels: tuple[str, ...]) -> Floats | None:
    """``[rows, labels]``: the predicted probabilities, by label or in the labels' order; ``None`` if no row has any."""
    if all(record.get("probabilities") is None for record in predicted.records):
        return None
    rows = []
    for row in order:
        record = predicted.records[row]
        given = record.get("probabilities")
        if given is None:
            given = {label: float(label == record["label"]) for label in labels}
        values: Any = [given.get(label) for label in labels] if isinstance(given, dict) else given
        sound = isinstance(values, list) and len(values) == len(labels)
        sound = sound and all(isinstance(value, int | float) for value in values)
        rows.append([float(value) for value in values] if sound else [np.nan] * len(labels))
    return np.array(rows).reshape(len(rows), len(labels))


def _values(task: Task, gold: Table, predicted: Table) -> tuple[list[Any], list[Any], tuple[str, ...]]:
    answer = type_of(task).answer
    if answer == "score":
        return table.scores(gold), table.scores(predicted), ()
    if answer == "tags":
        gold_tags, predicted_tags = table.tags(gold, task), table.tags(predicted, task)
        used = task.labels or sorted({tag for side in (gold_tags, predicted_tags) for row in side for tag in row})
        return gold_tags, predicted_tags, table.types_of(used)
    read = table.classes if answer == "label" else table.sets
    labels = table.label_set(task, gold, "label" if answer == "label" else "labels")
    return list(read(gold, labels)), list(read(predicted, labels)), labels


def _same_lengths(
    gold: Table, predicted: Table, order: list[int], gold_tags: list[list[str]], predicted_tags: list[list[str]]
) -> None:
    for row, at in enumerate(order):
        if len(gold_tags[row]) != len(predicted_tags[row]):
            name = gold.records[row]["id"]
            raise predicted.error(
                at, f"{len(predicted_tags[row])} tags for {name!r}", expected=f"{len(gold_tags[row])}, one per token"
            )


def _offsets(gold: Table, gold_tags: list[list[str]]) -> list[list[tuple[int, int]]] | None:
    """Token offsets of every row; None if the records have none at all."""
    if not any("offsets" in record for record in gold.records):
        return None
    offsets = []
    for row, (record, tags) in enumerate(zip(gold.records, gold_tags, strict=True)):
        value = record.get("offsets")
        pairs = value if isinstance(value, list | tuple) else ()
        sound = all(isinstance(pair, list | tuple) and [type(n) for n in pair] == [int, int] for pair in pairs)
        if not sound or len(pairs) != len(tags):
            raise gold.error(row, f"offsets {value!s:.40}", expected="[start, end] for every tag")
        offsets.append([(start, end) for start, end in pairs])
    return offsets


def is_mentions(side: Table) -> bool:
    """Whether the records are mentions with ``locations`` rather than sentences with tags."""
    return bool(side.records) and "locations" in side.records[0]


def mention_rows(task: Task, gold: Table, predicted: Table) -> Matched:
    """Gold and predictions as mentions, either of which may come from tagged sentences."""
    if not gold.records:
        raise InputError("no gold mentions", path=gold.where, expected="one mention per row")
    kinds = table.types_of(task.labels)
    sides = []
    for side in (gold, predicted):
        if is_mentions(side) or not side.records:
            sides.append(table.mentions(side, kinds))
            continue
        side.ids()
        tags = table.tags(side, task)
        offsets = _offsets(side, tags)
        if offsets is None or not all(table.document_of(record) for record in side.records):
            raise side.error(0, "no document id or no offsets", expected='"doc_id" and "offsets" with the tags')
        names = [str(record["doc_id"]) for record in side.records]
        sides.append(tagged_mentions(zip(names, offsets, tags, strict=True)))
    first, second = tuple(sides[0]), tuple(sides[1])
    known = {str(record["doc_id"]) for record in gold.records if "locations" not in record}
    if known:
        for row, mention in enumerate(second):
            if mention.doc_id not in known:
                raise predicted.error(row, f"unknown document {mention.doc_id!r}", expected=f"those of {gold.where}")
    documents = tuple(dict.fromkeys([*sorted(known), *(m.doc_id for m in (*first, *second))]))
    labels = kinds or tuple(sorted({m.type for m in (*first, *second)}))
    unit_of = np.arange(0, dtype=np.int64)
    return Matched(task, labels, [*first], [*second], unit_of, len(documents), documents, first, second)
