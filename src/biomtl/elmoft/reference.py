"""The old program's scoring, for comparison with the numbers it printed; not BLUE's.

It leaves out every dev and test row (for NER: token) whose gold label is the most frequent one, so that false positives
on "no relation" and "O" cost nothing, and then reports each remaining label and their averages. HoC is scored by
sentence, similarity on scores divided by 5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of

Record = dict[str, Any]
Row = dict[str, Any]
NAME = "reference (the old program's rules, not comparable with BLUE's)"
SCALE = 5.0


def reference_scores(task: Task, gold: Sequence[Record], predicted: Sequence[Record]) -> list[Row]:
    """The rows of the old program's table: ``name`` with ``precision``, ``recall``, ``f1-score``, ``support``.

    For regression ``name`` and ``value``. Predictions are in the order of the gold records.
    """
    answer = type_of(task).answer
    if answer == "score":
        return similarity([r["score"] for r in gold], [r["score"] for r in predicted])
    if answer == "labels":
        return report_sets(task.labels, [r["labels"] for r in gold], [r["labels"] for r in predicted])
    key = "tags" if answer == "tags" else "label"
    wanted = [tag for r in gold for tag in (r[key] if key == "tags" else [r[key]])]
    answers = [tag for r in predicted for tag in (r[key] if key == "tags" else [r[key]])]
    if task.inputs != "pair":
        wanted, answers = without_most_frequent(task, wanted, answers)
    rows = report_sets(task.labels, [[label] for label in wanted], [[label] for label in answers])
    # With one label per row, accuracy is more useful than averages over pairs of row and label.
    right = sum(a == b for a, b in zip(wanted, answers, strict=True)) / max(len(wanted), 1)
    accuracy = {"name": "accuracy", "value": right, "support": len(wanted)}
    return [*(row for row in rows if row["name"] not in ("micro avg", "samples avg")), accuracy]


def without_most_frequent(task: Task, gold: Sequence[str], predicted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Both lists without rows of the most frequent gold label (the first in the task's order, if there are several)."""
    counts = Counter(gold)
    most = max(task.labels, key=lambda label: counts[label])
    kept = [i for i, label in enumerate(gold) if label != most]
    return [gold[i] for i in kept], [predicted[i] for i in kept]


def report_sets(
    labels: Sequence[str], gold: Sequence[Collection[str]], predicted: Sequence[Collection[str]]
) -> list[Row]:
    """Precision, recall and F1 of every label that occurs, then their averages."""
    occurring = [label for label in labels if any(label in row for side in (gold, predicted) for row in side)]
    rows = []
    for label in occurring:
        correct = sum(label in a and label in b for a, b in zip(gold, predicted, strict=True))
        support, said = sum(label in row for row in gold), sum(label in row for row in predicted)
        rows.append(_row(label, correct, said, support))
    totals = [sum(row[key] for row in rows) for key in ("correct", "predicted", "support")]
    parts = np.array([[row[key] for key in ("precision", "recall", "f1-score")] for row in rows]).reshape(-1, 3)
    weights = np.array([row["support"] for row in rows], dtype=float)
    support = totals[2]
    averages = [_row("micro avg", *totals)]
    if rows:
        averages.append(_average("macro avg", parts.mean(0), support))
        averages.append(_average("weighted avg", (parts * weights[:, None]).sum(0) / max(support, 1), support))
    each = [_row("", len(set(a) & set(b)), len(b), len(a)) for a, b in zip(gold, predicted, strict=True)]
    samples = np.array([[row[key] for key in ("precision", "recall", "f1-score")] for row in each]).reshape(-1, 3)
    if len(samples):
        averages.append(_average("samples avg", samples.mean(0), support))
    return [{k: v for k, v in row.items() if k not in ("correct", "predicted")} for row in (*rows, *averages)]


def similarity(gold: Sequence[float], predicted: Sequence[float]) -> list[Row]:
    """Errors and correlation of scores divided by 5; undefined values (one row, equal scores) are left empty."""
    a, b = np.array(gold) / SCALE, np.array(predicted) / SCALE
    logs = (np.log1p(a) - np.log1p(b)) ** 2 if (b > -1).all() else np.array([np.nan])
    spread = ((a - a.mean()) ** 2).sum()
    defined = len(a) > 1 and a.std() > 0 and b.std() > 0
    values = {
        "Mean Absolute Error": np.abs(a - b).mean(),
        "Mean Squared Error": ((a - b) ** 2).mean(),
        "Mean Squared Log Error": logs.mean(),
        "Median Absolute Error": np.median(np.abs(a - b)),
        "R2": 1 - ((a - b) ** 2).sum() / spread if spread else np.nan,
        "Pearson Correlation": np.corrcoef(a, b)[0, 1] if defined else np.nan,
    }
    return [
        {"name": name, "value": None if np.isnan(value) else float(value), "support": len(a)}
        for name, value in values.items()
    ]


def _row(name: str, correct: int, predicted: int, support: int) -> Row:
    precision, recall = correct / max(predicted, 1), correct / max(support, 1)
    f1 = 2 * correct / max(predicted + support, 1)
    counts = {"support": support, "predicted": predicted, "correct": correct}
    return {"name": name, "precision": precision, "recall": recall, "f1-score": f1, **counts}


def _average(name: str, values: Any, support: int) -> Row:
    precision, recall, f1 = (float(value) for value in values)
    return {"name": name, "precision": precision, "recall": recall, "f1-score": f1, "support": support}
