"""Relations between concepts: a document's pairs of mentions, taken together by what their mentions stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from biomtl.scoring.labels import LabelCounts, count_sets
from biomtl.scoring.measure import Ints
from biomtl.scoring.table import Table
from biomtl.tasks.task import Task
from biomtl.text.concepts import concepts_of

ConceptPair = tuple[str, str]


def concept_pairs(task: Task, gold: Table) -> list[tuple[ConceptPair, ...]] | None:
    """Each row's pairs of concepts, several for a composite mention; ``None`` if no row has any.

    In an undirected task the two concepts are in alphabetical order.
    """
    directed = task.relation is None or task.relation.directed
    rows = [_pairs(record.get("entities"), directed=directed) for record in gold.records]
    return rows if any(rows) else None


def _pairs(entities: Any, *, directed: bool) -> tuple[ConceptPair, ...]:
    if not isinstance(entities, list) or len(entities) != 2:
        return ()
    first, second = (concepts_of(_identifiers(entity)) for entity in entities)
    pairs = [(one, other) for one in first for other in second]
    return tuple(dict.fromkeys(pairs if directed else [(min(pair), max(pair)) for pair in pairs]))


def _identifiers(entity: Any) -> list[str]:
    value = entity.get("identifiers") if isinstance(entity, dict) else None
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def concept_counts(
    labels: tuple[str, ...],
    concepts: Sequence[tuple[ConceptPair, ...]],
    gold: Sequence[tuple[int]],
    predicted: Sequence[tuple[int]],
    unit_of: Ints,
) -> LabelCounts:
    """Counts over the pairs of concepts of every document; a pair has a label if any of its mentions' pairs has it.

    Args:
        labels: the task's labels.
        concepts: each row's pairs of concepts.
        gold: each row's label.
        predicted: each row's predicted label.
        unit_of: each row's document.
    """
    found: dict[tuple[int, ConceptPair], tuple[set[int], set[int]]] = {}
    for unit, pairs, right, answer in zip(unit_of.tolist(), concepts, gold, predicted, strict=True):
        for pair in pairs:
            sides = found.setdefault((unit, pair), (set(), set()))
            sides[0].update(right)
            sides[1].update(answer)
    units = int(unit_of.max()) + 1 if len(unit_of) else 0
    # One empty row per document, so that documents without concepts are units too.
    of = np.array([unit for unit, _ in found] + list(range(units)), dtype=np.int64)
    empty: list[set[int]] = [set() for _ in range(units)]
    right_sets, answered = ([side[i] for side in found.values()] + empty for i in (0, 1))
    return count_sets(labels, right_sets, answered, of)
