"""Reliability and threshold curves, checked by counting."""

from __future__ import annotations

from typing import Any

import pytest

from biomtl.report.answers import Answers
from biomtl.report.confidence import confidence_charts
from biomtl.tasks.task import Task

RELATION = Task(name="r", metric="micro_f1_positive", labels=("a", "b", "none"), negative="none")


def said(label: str, *values: float) -> dict[str, Any]:
    return {"label": label, "probabilities": dict(zip(RELATION.labels, values, strict=True))}


def at(points: Any, threshold: float) -> float:
    return next(y for x, y in points if x == pytest.approx(threshold))


def test_thresholds_of_a_task_with_a_negative_class() -> None:
    gold = [{"label": label} for label in ("a", "b", "none", "a")]
    predicted = [
        said("a", 0.9, 0.0, 0.1),
        said("a", 0.5, 0.2, 0.3),
        said("b", 0.1, 0.5, 0.4),
        said("none", 0.3, 0, 0.7),
    ]
    (reliability, thresholds), error = confidence_charts(Answers(RELATION, "test", gold, predicted))
    curves = {line.name: line.points for line in thresholds.lines}
    # At 0.5 three are offered (0.9, 0.7, 0.6) and one is right, of three in gold; at 0.2 all four, two right.
    assert at(curves["precision"], 0.5) == pytest.approx(1 / 3)
    assert at(curves["recall"], 0.5) == pytest.approx(1 / 3)
    assert at(curves["recall"], 0.2) == pytest.approx(2 / 3)
    assert at(curves["F1"], 0.2) == pytest.approx(4 / 7)
    assert [line.name for line in reliability.lines] == ["share right", "perfect"]
    assert error == pytest.approx((abs(0.9 - 1) + 2 * abs(0.5 - 0) + abs(0.7 - 0)) / 4)


def test_a_mention_has_the_probability_of_its_least_certain_word() -> None:
    task = Task(name="t", type="tagging", inputs="tokens", metric="entity_f1_spans", labels=("O", "B-X", "I-X"))
    gold = [{"tags": ["B-X", "I-X", "O", "B-X"]}]
    predicted = [{"tags": ["B-X", "I-X", "B-X", "O"], "probabilities": [0.9, 0.6, 0.8, 0.7]}]
    (_, thresholds), _ = confidence_charts(Answers(task, "test", gold, predicted))
    curves = {line.name: line.points for line in thresholds.lines}
    assert at(curves["precision"], 0.5) == 0.5
    assert at(curves["precision"], 0.7) == 0, "the right one has 0.6"
    assert at(curves["recall"], 0.6) == 0.5


@pytest.mark.parametrize("probabilities", [None, {"a": 1.0}, {"a": float("nan"), "b": 0.5, "none": 0.5}])
def test_probabilities_of_another_shape_give_no_curves(probabilities: Any) -> None:
    answers = Answers(RELATION, "test", [{"label": "a"}], [{"label": "a", "probabilities": probabilities}])
    assert confidence_charts(answers) == ([], None)
