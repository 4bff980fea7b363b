"""Every metric on a few rows, against numbers worked out on paper."""

from __future__ import annotations

import math
from typing import Any

import pytest

from biomtl.errors import InputError
from biomtl.scoring import METRICS, score, score_records
from biomtl.tasks import Task, known_tasks


def rows(key: str, *values: Any, docs: str = "") -> list[dict[str, Any]]:
    records = [{"id": f"r{i}", key: value} for i, value in enumerate(values)]
    for record, doc in zip(records, docs, strict=False):
        record["doc_id"] = doc
    return records


CLASSES = Task(
    name="t",
    labels=("A", "B", "N"),
    negative="N",
    metric="micro_f1_positive",
    metrics=("macro_f1_positive", "accuracy", "micro_f1", "macro_f1"),
)


def test_f1_of_classes_with_and_without_the_negative() -> None:
    gold = rows("label", "A", "A", "B", "N", "N", "N", docs="112233")
    predicted = rows("label", "A", "B", "B", "N", "A", "N")
    result = score_records(CLASSES, gold, predicted)
    assert list(result.metrics) == ["micro_f1_positive", "macro_f1_positive", "accuracy", "micro_f1", "macro_f1"]
    micro, macro, accuracy, micro_all, macro_all = result.metrics.values()
    # A: 1 right of 2 gold, 2 predicted. B: 1 of 1 gold, 2 predicted. N: 2 of 3 gold, 2 predicted.
    assert (micro.precision, micro.recall, micro.support) == (pytest.approx(2 / 4), pytest.approx(2 / 3), 3)
    assert micro.value == pytest.approx(4 / 7)
    assert macro.value == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert (macro.precision, macro.recall) == (pytest.approx((1 / 2 + 1 / 2) / 2), pytest.approx((1 / 2 + 1) / 2))
    assert accuracy.value == micro_all.value == pytest.approx(4 / 6)
    assert macro_all.value == pytest.approx((2 / 4 + 2 / 3 + 4 / 5) / 3)
    assert [(row.label, row.support, row.predicted, row.correct) for row in macro_all.labels] == [
        ("A", 2, 2, 1),
        ("B", 1, 2, 1),
        ("N", 3, 2, 2),
    ]
    assert [row.label for row in micro.labels] == ["A", "B"]
    assert result.confusion is not None
    assert result.confusion.counts == ((1, 1, 0), (0, 1, 0), (1, 0, 2))
    assert (result.units, result.unit) == (3, "document")


def test_documents_may_have_numbers() -> None:
    gold = [{**record, "doc_id": number // 2} for number, record in enumerate(rows("label", "A", "A", "B", "N"))]
    result = score_records(CLASSES, gold, rows("label", "A", "B", "B", "N"))
    assert (result.units, result.unit) == (2, "document")


def test_all_negative_predictions_are_zero_and_not_nan() -> None:
    result = score_records(CLASSES, rows("label", "A", "N"), rows("label", "N", "N"))
    assert result.main.value == result.main.precision == result.main.recall == 0
    assert result.metrics["macro_f1_positive"].notes == ("labels in neither gold nor prediction count as 0: B",)


REGRESSION = Task(name="t", type="regression", inputs="pair", metric="pearson", metrics=("spearman", "mse"))


def test_correlations() -> None:
    result = score_records(REGRESSION, rows("score", 1, 2, 3, 4), rows("score", 1.0, 3.0, 2.0, 5.0))
    assert result.main.value == pytest.approx(5.5 / math.sqrt(5 * 8.75))
    assert result.metrics["spearman"].value == pytest.approx(0.8)
    assert result.metrics["mse"].value == pytest.approx(3 / 4)
    assert result.main.precision is None
    assert result.main.support == 4


def test_spearman_gives_equal_scores_their_mean_rank() -> None:
    result = score_records(REGRESSION, rows("score", 1, 2, 3), rows("score", 1, 1, 2))
    # Ranks 1, 2, 3 and 1.5, 1.5, 3: r = 1.5 / sqrt(2 * 1.5).
    assert result.metrics["spearman"].value == pytest.approx(1.5 / math.sqrt(3))


@pytest.mark.parametrize("scores", [(2.5, 2.5, 2.5), (0.1 + 0.2, 0.3, 0.3)])
def test_constant_predictions_correlate_zero_with_a_note(scores: tuple[float, ...]) -> None:
    result = score_records(REGRESSION, rows("score", 1, 2, 4), rows("score", *scores))
    if len(set(scores)) == 1:
        assert result.main.value == 0
        assert (result.main.low, result.main.high) == (0, 0)
        assert "all predicted scores are equal" in result.main.notes[0]
    assert all(math.isfinite(metric.value) for metric in result.metrics.values())


MULTILABEL = Task(
    name="t",
    type="multilabel",
    labels=("a", "b", "c"),
    metric="example_f1_documents",
    metrics=("micro_f1", "macro_f1"),
)


def test_example_f1_is_the_f1_of_mean_precision_and_mean_recall() -> None:
    # Sentences of document 1 unite to {a, b} and {a, c}; document 2 has {b} and {a, b}; document 3 {a} and nothing.
    gold = rows("labels", ["a"], ["b"], ["b"], ["a"], docs="1123")
    predicted = rows("labels", ["a", "c"], ["a"], ["a", "b"], [])
    result = score_records(MULTILABEL, gold, predicted)
    precision, recall = (1 / 2 + 1 / 2 + 0) / 3, (1 / 2 + 1 + 0) / 3
    assert (result.main.precision, result.main.recall) == (pytest.approx(precision), pytest.approx(recall))
    assert result.main.value == pytest.approx(2 * precision * recall / (precision + recall))
    assert result.main.support == 3
    assert [(row.support, row.predicted, row.correct) for row in result.main.labels] == [
        (2, 2, 1),
        (2, 1, 1),
        (0, 1, 0),
    ]
    # By sentence: a is in 2 and predicted in 3, right once; b 2, 1, 1; c 0, 1, 0.
    assert result.metrics["micro_f1"].value == pytest.approx(2 * 2 / (4 + 5))


def test_a_document_without_gold_label_counts_as_recall_zero() -> None:
    result = score_records(MULTILABEL, rows("labels", [], ["a"]), rows("labels", [], ["a"]))
    assert result.main.value == pytest.approx(0.5)
    assert "1 documents without a gold label" in result.main.notes[0]


def test_every_metric_has_a_full_name() -> None:
    for name, metric in METRICS.items():
        assert metric.id == name
        assert "f1" not in metric.title.lower().split()[:1]  # averaging or unit first, never a bare F1
    for task in known_tasks().values():
        assert {task.metric, *task.metrics} <= set(METRICS)


def test_a_lower_error_is_better() -> None:
    assert [name for name, metric in METRICS.items() if not metric.higher_is_better] == ["mse"]


def test_labels_of_a_task_that_lists_none_come_from_gold() -> None:
    task = Task(name="t", metric="accuracy")
    result = score_records(task, rows("label", "y", "x"), rows("label", "y", "y"))
    assert [row.label for row in result.main.labels] == ["x", "y"]
    assert result.main.value == 0.5


def test_result_as_plain_values() -> None:
    result = score_records(CLASSES, rows("label", "A"), rows("label", "A"), seed=3, resamples=10).to_dict()
    assert result["main"] == "micro_f1_positive"
    assert result["metrics"]["micro_f1_positive"]["labels"][0]["label"] == "A"
    assert (result["seed"], result["resamples"], result["unit"]) == (3, 10, "row")


def records(*values: tuple[str, float]) -> list[dict[str, Any]]:
    """Predictions of two classes with the probability of ``yes``."""
    return [
        {"id": str(n), "label": label, "probabilities": {"no": 1 - p, "yes": p}} for n, (label, p) in enumerate(values)
    ]


def test_matthews_of_two_and_of_three_classes() -> None:
    two = Task(name="t", type="classification", labels=("no", "yes"), metric="mcc")
    gold = records(*((label, 0) for label in ("yes", "yes", "yes", "no", "no")))
    guess = records(*((label, 0) for label in ("yes", "yes", "no", "no", "yes")))
    # tp 2, tn 1, fp 1, fn 1
    expected = (2 * 1 - 1 * 1) / ((3 * 3 * 2 * 2) ** 0.5)
    assert score(two, gold, guess, resamples=10).main.value == pytest.approx(expected)
    same = records(*(("yes", 0),) * 5)
    assert score(two, gold, same, resamples=0).main.value == 0
    three = Task(name="t", type="classification", labels=("a", "b", "c"), metric="mcc")
    gold = [{"id": str(n), "label": label} for n, label in enumerate("aabbc")]
    guess = [{"id": str(n), "label": label} for n, label in enumerate("abbcc")]
    # s 5, c 3, gold 2 2 1, predicted 1 2 2
    expected = (3 * 5 - (2 * 1 + 2 * 2 + 1 * 2)) / (((25 - 9) * (25 - 9)) ** 0.5)
    assert score(three, gold, guess, resamples=0).main.value == pytest.approx(expected)


def test_area_under_the_curve() -> None:
    task = Task(name="t", type="classification", labels=("no", "yes"), metric="auc")
    gold = records(("yes", 0), ("no", 0), ("yes", 0), ("no", 0))
    guess = records(("yes", 0.9), ("no", 0.4), ("no", 0.4), ("yes", 0.6))
    # Of the four pairs, 0.9 beats both, 0.4 ties with 0.4 and loses to 0.6.
    found = score(task, gold, guess, resamples=50).main
    assert found.value == pytest.approx(2.5 / 4)
    assert found.low is not None
    turned = task.model_copy(update={"negative": "yes"})
    assert score(turned, gold, guess, resamples=0).main.value == pytest.approx(2.5 / 4)
    one = score(task, gold[::2], guess[::2], resamples=0).main
    assert (one.value, one.notes) == (0, ("gold has one class only: the area counts as 0",))
    bare = [{"id": record["id"], "label": record["label"]} for record in guess]
    assert score(task, gold, bare, resamples=0).main.value == pytest.approx(2 / 4)  # certain of each label
    # Only the rows without probabilities are certain: 0.9 beats both others, and 0 loses to 0.6 and ties with 0.
    some = [bare[i] if i in (1, 2) else row for i, row in enumerate(guess)]
    assert score(task, gold, some, resamples=0).main.value == pytest.approx(2.5 / 4)
    some[3] = {**guess[3], "probabilities": [0.6]}
    with pytest.raises(InputError, match="gold row 4: predicted probabilities, expected a number for every label"):
        score(task, gold, some, resamples=0)
    three = Task(name="t", type="classification", labels=("a", "b", "c"), metric="auc")
    with pytest.raises(InputError, match="metric auc for 3 labels, expected two"):
        score(three, gold, guess, resamples=0)


def test_a_rank_among_all_candidates() -> None:
    """Scores of some candidates say nothing of the right one's rank."""
    task = Task(name="t", type="ranking", inputs="candidates", metric="mean_reciprocal_rank")
    gold = [{"id": "1", "text": "pola", "candidates": ["rimu", "teksa", "vono"], "label": 1}]
    guess = {"id": "1", "label": 0, "probabilities": [0.5, 0.3, 0.2]}
    assert score(task, gold, [guess], resamples=0).main.value == pytest.approx(1 / 2)
    problem = "row 1: 2 probabilities, the right candidate is 1 of 3, expected one for every candidate"
    with pytest.raises(InputError, match=problem):
        score(task, gold, [{**guess, "probabilities": [0.5, 0.3]}], resamples=0)
