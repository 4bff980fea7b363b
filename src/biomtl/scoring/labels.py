"""Metrics of label counts: accuracy, micro- and macro-F1, and BLUE's example-based F1 over documents.

Everything here comes from three tables ``[units, labels]``: how often a unit's rows have a label in gold, in the
prediction, and in both. Entity metrics fill the same tables with mentions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from biomtl.scoring.measure import Floats, Ints, Measure, ratio
from biomtl.scoring.result import Confusion, LabelRow


@dataclass(frozen=True)
class LabelCounts:
    """``gold``, ``predicted`` and ``correct``: each ``[units, labels]``."""

    labels: tuple[str, ...]
    gold: Floats
    predicted: Floats
    correct: Floats

    def only(self, labels: Sequence[str]) -> LabelCounts:
        """The same for some of the labels."""
        at = [self.labels.index(label) for label in labels]
        return LabelCounts(tuple(labels), self.gold[:, at], self.predicted[:, at], self.correct[:, at])

    def rows(self) -> tuple[LabelRow, ...]:
        """Precision, recall, F1 and counts of each label."""
        gold, predicted, correct = (table.sum(axis=0) for table in (self.gold, self.predicted, self.correct))
        precision, recall, f1 = ratio(correct, predicted), ratio(correct, gold), ratio(2 * correct, gold + predicted)
        return tuple(
            LabelRow(label, float(p), float(r), float(f), int(g), int(n), int(c))
            for label, p, r, f, g, n, c in zip(
                self.labels, precision, recall, f1, gold, predicted, correct, strict=True
            )
        )


def count_sets(
    labels: tuple[str, ...], gold: Sequence[Collection[int]], predicted: Sequence[Collection[int]], unit_of: Ints
) -> LabelCounts:
    """Counts for rows with sets of labels (a class is a set of one)."""
    units = int(unit_of.max()) + 1 if len(unit_of) else 0

    def table(sets: Sequence[Collection[int]]) -> Floats:
        cells = [unit * len(labels) + label for unit, row in zip(unit_of.tolist(), sets, strict=True) for label in row]
        counted = np.bincount(np.array(cells, dtype=np.int64), minlength=units * len(labels))
        return counted.reshape(units, len(labels)).astype(np.float64)

    both = [set(g) & set(p) for g, p in zip(gold, predicted, strict=True)]
    return LabelCounts(labels, table(gold), table(predicted), table(both))


def f1(counts: LabelCounts, average: Literal["micro", "macro"]) -> Measure:
    """Micro: F1 of the summed counts. Macro: mean of the labels' F1, with the means of their P and R."""
    rows, size = counts.rows(), max(len(counts.labels), 1)

    total, correct_of = counts.gold + counts.predicted, counts.correct
    totals, corrects = total.sum(axis=1), correct_of.sum(axis=1)

    def micro(weights: Floats) -> Floats:
        return ratio(2 * (weights @ corrects), weights @ totals)

    def macro(weights: Floats) -> Floats:
        return ratio(2 * (weights @ correct_of), weights @ total).sum(axis=1) / size

    support, predicted = sum(row.support for row in rows), sum(row.predicted for row in rows)
    if average == "micro":
        correct = sum(row.correct for row in rows)
        return Measure(micro, correct / max(predicted, 1), correct / max(support, 1), support, rows)
    absent = [row.label for row in rows if not row.support and not row.predicted]
    notes = (f"labels in neither gold nor prediction count as 0: {', '.join(absent)}",) if absent else ()
    precision, recall = sum(row.precision for row in rows) / size, sum(row.recall for row in rows) / size
    return Measure(macro, precision, recall, support, rows, notes)


def accuracy(counts: LabelCounts) -> Measure:
    """Share of rows with the right class; as every row has one class, micro precision and recall are the same."""
    correct, rows = counts.correct.sum(axis=1), counts.gold.sum(axis=1)
    value = float(correct.sum()) / max(float(rows.sum()), 1.0)
    return Measure(lambda w: ratio(w @ correct, w @ rows), value, value, int(rows.sum()), counts.rows())


def matthews(counts: LabelCounts) -> Measure:
    """Matthews' correlation coefficient, of any number of classes (Gorodkin 2004, eq. 8).

    With ``s`` rows, ``c`` of them right, ``t_k`` in gold and ``p_k`` predicted with class ``k``:
    ``(c s - sum p_k t_k) / sqrt((s^2 - sum p_k^2) (s^2 - sum t_k^2))``. It is 0 if gold or prediction has one class.
    """

    def estimate(weights: Floats) -> Floats:
        gold, predicted = weights @ counts.gold, weights @ counts.predicted
        right, rows = (weights @ counts.correct).sum(axis=1), gold.sum(axis=1)
        spread = (rows**2 - (predicted**2).sum(axis=1)) * (rows**2 - (gold**2).sum(axis=1))
        return ratio(right * rows - (gold * predicted).sum(axis=1), np.sqrt(np.maximum(spread, 0.0)))

    return Measure(estimate, None, None, int(counts.gold.sum()), counts.rows())


def roc_auc(positive: NDArray[np.bool_], probabilities: Floats, unit_of: Ints) -> Measure:
    """The area under the ROC curve: how often a positive row gets a higher probability than a negative one.

    Equal probabilities count half. It is 0 where gold has one class only.
    """
    order = np.argsort(probabilities, kind="stable")
    truth = positive[order].astype(np.float64)
    starts = np.flatnonzero(np.diff(probabilities[order], prepend=np.nan) != 0)

    def estimate(weights: Floats) -> Floats:
        rows = weights[:, unit_of[order]]
        above = np.add.reduceat(rows * truth, starts, axis=1)
        below = np.add.reduceat(rows * (1 - truth), starts, axis=1)
        beaten = np.cumsum(below, axis=1) - below / 2
        return ratio((above * beaten).sum(axis=1), above.sum(axis=1) * below.sum(axis=1))

    one_sided = positive.all() or not positive.any()
    notes = ("gold has one class only: the area counts as 0",) if one_sided else ()
    return Measure(estimate, None, None, len(positive), notes=notes)


def example_f1(
    labels: tuple[str, ...], gold: Sequence[Collection[int]], predicted: Sequence[Collection[int]], unit_of: Ints
) -> Measure:
    """BLUE's HoC score: labels merged per document, then F1 of the MEAN precision and the MEAN recall.

    P_d = shared / predicted labels, R_d = shared / gold labels of a document, 0 where the denominator is 0. BLUE's own
    script divides by zero for a document without a gold label (its test set has none); here its recall is 0.
    """
    units = int(unit_of.max()) + 1 if len(unit_of) else 0
    gold_sets: list[set[int]] = [set() for _ in range(units)]
    predicted_sets: list[set[int]] = [set() for _ in range(units)]
    for unit, gold_row, predicted_row in zip(unit_of.tolist(), gold, predicted, strict=True):
        gold_sets[unit].update(gold_row)
        predicted_sets[unit].update(predicted_row)
    rows = count_sets(labels, gold_sets, predicted_sets, np.arange(units)).rows()
    shared = np.array([len(g & p) for g, p in zip(gold_sets, predicted_sets, strict=True)], dtype=np.float64)
    precision = ratio(shared, np.array([len(p) for p in predicted_sets], dtype=np.float64))
    recall = ratio(shared, np.array([len(g) for g in gold_sets], dtype=np.float64))

    def estimate(weights: Floats) -> Floats:
        p, r, drawn = weights @ precision, weights @ recall, weights.sum(axis=1)
        return ratio(2 * p * r, (p + r) * drawn)

    empty = sum(not labels_of for labels_of in gold_sets)
    notes = (f"{empty} documents without a gold label: their recall counts as 0",) if empty else ()
    return Measure(estimate, _mean(precision), _mean(recall), units, rows, notes)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0


def confusion(labels: tuple[str, ...], gold: Ints, predicted: Ints) -> Confusion:
    """How often each gold class was predicted as each class."""
    size = len(labels)
    table = np.bincount(gold * size + predicted, minlength=size * size).reshape(size, size)
    return Confusion(labels, tuple(tuple(row) for row in table.tolist()))
