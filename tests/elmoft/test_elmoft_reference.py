"""The old program's scores, by hand."""

from __future__ import annotations

import math

import pytest

from biomtl.elmoft.reference import reference_scores, report_sets, similarity
from biomtl.tasks import get_task


def by_name(rows: list[dict]) -> dict[str, dict]:
    return {row["name"]: row for row in rows}


def labelled(*labels: str) -> list[dict]:
    return [{"id": str(i), "label": label} for i, label in enumerate(labels)]


def test_most_frequent_class_is_left_out() -> None:
    gold = labelled("DDI-false", "DDI-false", "DDI-false", "DDI-int", "DDI-int", "DDI-advise")
    found = labelled("DDI-int", "DDI-int", "DDI-false", "DDI-int", "DDI-false", "DDI-advise")
    rows = by_name(reference_scores(get_task("ddi"), gold, found))
    assert list(rows) == ["DDI-advise", "DDI-int", "DDI-false", "macro avg", "weighted avg", "accuracy"]
    # Two false alarms on negatives are not seen.
    assert (rows["DDI-int"]["precision"], rows["DDI-int"]["recall"], rows["DDI-int"]["support"]) == (1.0, 0.5, 2)
    assert rows["DDI-false"] == {"name": "DDI-false", "precision": 0, "recall": 0, "f1-score": 0, "support": 0}
    assert rows["accuracy"]["value"] == pytest.approx(2 / 3)
    assert rows["macro avg"]["recall"] == pytest.approx(1.5 / 3)
    assert rows["weighted avg"]["f1-score"] == pytest.approx((1 + 2 * 2 / 3) / 3)


def test_pairs_keep_all_classes() -> None:
    gold = labelled("neutral", "neutral", "entailment")
    rows = by_name(reference_scores(get_task("mednli"), gold, labelled("neutral", "entailment", "entailment")))
    assert rows["accuracy"] == {"name": "accuracy", "value": pytest.approx(2 / 3), "support": 3}


def test_tokens_without_the_o_tag() -> None:
    gold = [{"tags": ["O", "B-Chemical", "O"]}, {"tags": ["B-Chemical", "I-Chemical"]}]
    found = [{"tags": ["B-Chemical", "B-Chemical", "O"]}, {"tags": ["O", "I-Chemical"]}]
    rows = by_name(reference_scores(get_task("bc5cdr-chem"), gold, found))
    # Two O and two B: the first in the task's order is left out.
    assert (rows["B-Chemical"]["precision"], rows["B-Chemical"]["support"]) == (1.0, 2)
    assert rows["accuracy"]["support"] == 3


def test_several_labels_per_sentence() -> None:
    rows = by_name(report_sets(["a", "b", "c"], [["a", "b"], [], ["b"]], [["a"], ["b"], ["b"]]))
    assert list(rows) == ["a", "b", "micro avg", "macro avg", "weighted avg", "samples avg"]
    assert rows["b"]["precision"] == 0.5
    assert rows["micro avg"]["f1-score"] == pytest.approx(2 * 2 / (3 + 3))
    assert rows["weighted avg"]["recall"] == pytest.approx((1 * 1 + 0.5 * 2) / 3)
    assert rows["samples avg"]["precision"] == pytest.approx((1 + 0 + 1) / 3)


def test_similarity_scores_are_divided_by_five() -> None:
    rows = by_name(similarity([0.0, 2.5, 5.0], [0.5, 2.5, 4.0]))
    assert rows["Mean Absolute Error"]["value"] == pytest.approx(0.1)
    assert rows["Mean Squared Error"]["value"] == pytest.approx((0.01 + 0.04) / 3)
    assert rows["Median Absolute Error"]["value"] == pytest.approx(0.1)
    assert rows["R2"]["value"] == pytest.approx(1 - 0.05 / 0.5)
    logs = (math.log(1.1) ** 2 + (math.log(2) - math.log(1.8)) ** 2) / 3
    assert rows["Mean Squared Log Error"]["value"] == pytest.approx(logs)
    assert rows["Pearson Correlation"]["value"] == pytest.approx(0.9966, abs=1e-4)


def test_undefined_scores_are_empty() -> None:
    rows = by_name(similarity([1.0, 1.0], [-9.0, 2.0]))
    assert [name for name, row in rows.items() if row["value"] is None] == [
        "Mean Squared Log Error",
        "R2",
        "Pearson Correlation",
    ]
    (accuracy,) = reference_scores(get_task("ddi"), labelled("DDI-false"), labelled("DDI-int"))[-1:]
    assert accuracy["support"] == 0
