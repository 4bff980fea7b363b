"""From two files or two lists of records to a :class:`~biomtl.scoring.result.Score`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from biomtl.errors import InputError
from biomtl.scoring import formats
from biomtl.scoring.labels import confusion
from biomtl.scoring.measure import bootstrap
from biomtl.scoring.metrics import CONCEPT_PAIRS, METRICS, Metric, metrics_of
from biomtl.scoring.reconcile import reconcile, unite_documents
from biomtl.scoring.result import Confusion, MetricResult, Score
from biomtl.scoring.rows import Matched, is_mentions, matched_rows, mention_rows
from biomtl.scoring.table import Record, Table
from biomtl.tasks.registry import get_task
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of

Rows = str | Path | Sequence[Record]
ENTITIES = ("entity_f1_spans", "entity_f1_conlleval")
"""The metrics of mentions; only the first is defined without tags, only the second without offsets."""


def score(task: str | Task, gold: Rows, predicted: Rows, *, seed: int = 0, resamples: int = 1000) -> Score:
    """Score predictions by the task's metrics.

    Args:
        task: a task, or a known task's name or alias.
        gold: records (or mentions with ``locations``), or a file in our JSONL or one of BLUE's formats.
        predicted: the same for the predictions; the two formats may differ. Rows are matched by id.
        seed: seed of the bootstrap.
        resamples: number of resamples of documents (or rows, if documents are unknown); 0 for no intervals.

    Returns:
        Every metric of the task, the main one first, as fractions of 1 with their intervals.

    Raises:
        InputError: unreadable input; a missing, repeated or unknown id; an unknown label; a score that isn't a number.
    """
    task = get_task(task) if isinstance(task, str) else task
    compared = _compared(task, gold, predicted)
    return Score(
        task=task.name,
        metrics=_results(compared.metrics, compared.rows, seed, resamples),
        rows=len(compared.rows.gold),
        units=compared.rows.units,
        unit=compared.unit,
        seed=seed,
        resamples=resamples,
        confusion=_confusion(compared.rows)
        if type_of(task).answer == "label" and compared.metrics[0].read is None
        else None,
        notes=compared.notes,
    )


def score_records(
    task: Task, gold: Sequence[Record], predicted: Sequence[Record], *, seed: int = 0, resamples: int = 1000
) -> Score:
    """:func:`score` for records at hand."""
    return score(task, gold, predicted, seed=seed, resamples=resamples)


def _loaded(task: Task, rows: Rows, name: str, may_be_empty: bool = False) -> formats.Loaded:
    if isinstance(rows, str | Path):
        return formats.load(rows, task, may_be_empty=may_be_empty)
    return formats.Loaded(Table(rows, name), "mentions" if rows and "locations" in rows[0] else "records")


class Compared(NamedTuple):
    """Gold and predicted values, the metrics that apply to them, the main one first, and the unit of the bootstrap."""

    rows: Matched
    metrics: list[Metric]
    unit: str
    notes: tuple[str, ...]


def _compared(task: Task, gold: Rows, predicted: Rows) -> Compared:
    answer = type_of(task).answer
    metrics = metrics_of(task)  # a task that can't be scored is reported before files are read
    left = _loaded(task, gold, "gold")
    # Against gold mentions an empty file is valid: it predicts none.
    right = _loaded(task, predicted, "predicted", may_be_empty=left.shape == "mentions")
    if left.shape == "relations" or (left.shape == "rows" and answer == "label"):
        formats.refuse_repeated(left)
    first, second, notes = reconcile(task, left, right)
    if answer == "tags" and (is_mentions(first) or is_mentions(second)):
        if METRICS[task.metric].id not in ENTITIES:
            where = first.where if is_mentions(first) else second.where
            raise InputError("mentions", path=where, expected=f"a tag for each word, which {task.metric} counts")
        notes += ("scored on mentions: a file of mentions has no tags for conlleval",)
        notes += () if second.records else (f"{second.where} is empty: no mention is predicted",)
        return Compared(mention_rows(task, first, second), [METRICS["entity_f1_spans"]], "document", notes)
    by_document = METRICS["example_f1_documents"] in metrics
    if by_document:
        first, second, united = unite_documents(first, second)
        notes += united
    rows, unit = matched_rows(task, first, second, metrics[0].read)
    if rows.gold_mentions is None and METRICS["entity_f1_spans"] in metrics:
        notes += ("scored as conlleval does: records without offsets have no document spans",)
        metrics = [METRICS["entity_f1_conlleval"], *(metric for metric in metrics if metric.id not in ENTITIES)]
    if CONCEPT_PAIRS in metrics and rows.concepts is None:
        if metrics[0] is CONCEPT_PAIRS:
            expected = 'entities with "identifiers"'
            raise InputError(f"no concept identifiers for {CONCEPT_PAIRS.id}", path=first.where, expected=expected)
        metrics = [metric for metric in metrics if metric is not CONCEPT_PAIRS]
    return Compared(rows, metrics, "document" if by_document else unit, notes)


def main_metric(task: Task, gold: Rows, predicted: Rows) -> tuple[Metric, Matched]:
    """The main metric of :func:`score` and the values that it compares, for paired tests.

    Raises:
        InputError: as ``score``.
    """
    compared = _compared(task, gold, predicted)
    return compared.metrics[0], compared.rows


def _results(metrics: list[Metric], rows: Matched, seed: int, resamples: int) -> dict[str, MetricResult]:
    measures = [metric.measure(rows) for metric in metrics]
    intervals = bootstrap([m.estimate for m in measures], rows.units, seed=seed, resamples=resamples)
    once = np.ones((1, rows.units))
    return {
        metric.id: MetricResult(
            id=metric.id,
            title=metric.title,
            value=float(measure.estimate(once)[0]),
            precision=measure.precision,
            recall=measure.recall,
            support=measure.support,
            low=low,
            high=high,
            # Plain B and I tags have no type of their own; they have the task's.
            labels=tuple(replace(row, label=row.label or rows.task.name) for row in measure.labels),
            notes=measure.notes,
        )
        for metric, measure, (low, high) in zip(metrics, measures, intervals, strict=True)
    }


def _confusion(rows: Matched) -> Confusion:
    gold, predicted = (np.array([row[0] for row in side], dtype=np.int64) for side in (rows.gold, rows.predicted))
    return confusion(rows.labels, gold, predicted)
