"""How far probabilities can be trusted, and what another threshold would give, from predictions and gold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biomtl.report.answers import Answers
from biomtl.report.chart import Chart, Curve, line_chart
from biomtl.tasks.calibration import Reliability
from biomtl.tasks.types.base import type_of
from biomtl.text.tags import chunks

THRESHOLDS = [round(0.02 * i, 2) for i in range(51)]
Values = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Sureness(NamedTuple):
    """Decisions by their probability.

    Attributes:
        said: each decision's probability of being right, as predicted.
        right: whether it is.
        offered: the probability of each finding (a positive label, a mention) that a threshold may keep.
        correct: whether that finding is in gold.
        gold: the findings in gold; 0 for tasks in which everything has a label.
        unit: what is counted.
    """

    said: Values
    right: Flags
    offered: Values
    correct: Flags
    gold: int
    unit: str


def confidence_charts(answers: Answers) -> tuple[list[Chart], float | None]:
    """Reliability and thresholds, and the expected calibration error; nothing if predictions have no probabilities.

    Of scores, the predicted ones beside those in gold.
    """
    if type_of(answers.task).answer == "score":
        return _scatter(answers), None
    read = {"label": _label, "labels": _labels, "tags": _tags}.get(type_of(answers.task).answer)
    try:
        found = read(answers) if read is not None else None
    except (KeyError, TypeError, ValueError):  # probabilities of another shape, from elsewhere
        found = None
    if found is None or not len(found.said) or not np.isfinite([*found.said, *found.offered]).all():
        return [], None
    place = f"{answers.task.name}-{answers.split}"
    reliability = Reliability.of(found.said, found.right)
    points = [(b.confidence, b.accuracy) for b in reliability.bins]
    charts = [
        line_chart(
            f"reliability-{place}",
            f"Reliability on {answers.split}",
            {"share right": points},
            x="predicted probability",
            y="share right",
            dashed={"perfect": [(0.0, 0.0), (1.0, 1.0)]},
            ends=(0.0, 1.0),
            dots=True,
        ),
        line_chart(
            f"threshold-{place}",
            f"{found.unit} at or above a threshold, on {answers.split}",
            _kept(found),
            x="lowest probability",
            y="",
            ends=(0.0, 1.0),
        ),
    ]
    return [chart for chart in charts if chart is not None], reliability.error


def _scatter(answers: Answers) -> list[Chart]:
    pairs = ((float(record["score"]), float(predicted["score"])) for record, predicted in answers)
    points = sorted(pair for pair in pairs if all(map(math.isfinite, pair)))
    if not points:
        return []
    ends = points[0][0], points[-1][0]
    chart = line_chart(
        f"scores-{answers.task.name}-{answers.split}",
        f"Scores on {answers.split}",
        {"predicted": points},
        x="gold",
        y="predicted",
        dashed={"equal": [(end, end) for end in ends]},
        dots=True,
        joined=False,
    )
    return [chart] if chart is not None else []


def _kept(found: Sureness) -> dict[str, Curve]:
    """Precision, recall and F1 (or accuracy and the share kept) of what is at or above each threshold."""
    order = np.argsort(found.offered, kind="stable")
    offered, correct = found.offered[order], np.concatenate([[0], np.cumsum(found.correct[order])])
    first = np.searchsorted(offered, np.array(THRESHOLDS) - 1e-9)
    kept, hits = len(offered) - first, correct[-1] - correct[first]
    precision = [(t, hit / n) for t, hit, n in zip(THRESHOLDS, hits.tolist(), kept.tolist(), strict=True) if n]
    if not found.gold:
        shares = [(t, n / len(offered)) for t, n in zip(THRESHOLDS, kept.tolist(), strict=True)]
        return {"accuracy": precision, "share kept": shares}
    recall = [(t, hit / found.gold) for t, hit in zip(THRESHOLDS, hits.tolist(), strict=True)]
    f1 = [(t, 2 * hit / (n + found.gold)) for t, hit, n in zip(THRESHOLDS, hits.tolist(), kept.tolist(), strict=True)]
    return {"precision": precision, "recall": recall, "F1": f1}


def _table(answers: Answers) -> Values | None:
    """``[rows, labels]`` the predicted probabilities by label."""
    rows = [row for side in answers.predicted if isinstance(row := side.get("probabilities"), Mapping)]
    if not rows or len(rows) < len(answers.predicted):
        return None
    return np.array([[row[label] for label in answers.task.labels] for row in rows], dtype=np.float64)


def _label(answers: Answers) -> Sureness | None:
    table, labels = _table(answers), answers.task.labels
    if table is None:
        return None
    gold = np.array([labels.index(record["label"]) for record in answers.gold])
    found = np.array([labels.index(record["label"]) for record in answers.predicted])
    said, right = table[np.arange(len(table)), found], found == gold
    if answers.task.negative is None or len(labels) < 2:
        return Sureness(said, right, said, right, 0, "Rows")
    at = labels.index(answers.task.negative)
    positive = table.copy()
    positive[:, at] = -1
    correct = (positive.argmax(1) == gold) & (gold != at)
    return Sureness(said, right, 1 - table[:, at], correct, int((gold != at).sum()), f"Labels other than {labels[at]}")


def _labels(answers: Answers) -> Sureness | None:
    table, labels = _table(answers), answers.task.labels
    if table is None:
        return None
    gold = np.array([[label in record["labels"] for label in labels] for record in answers.gold])
    said, right = np.maximum(table, 1 - table), (table >= 0.5) == gold
    return Sureness(said.ravel(), right.ravel(), table.ravel(), gold.ravel(), int(gold.sum()), "Labels")


def _tags(answers: Answers) -> Sureness | None:
    """A mention is as sure as its least sure word."""
    said, right, gold = list[float](), list[bool](), 0
    for record, predicted in answers:
        mentions = set(chunks(record["tags"]))
        gold += len(mentions)
        for mention in chunks(predicted["tags"]):
            said.append(min(predicted["probabilities"][mention[0] : mention[1]]))
            right.append(mention in mentions)
    values, flags = np.array(said, dtype=np.float64), np.array(right, dtype=bool)
    return Sureness(values, flags, values, flags, gold, "Mentions")
