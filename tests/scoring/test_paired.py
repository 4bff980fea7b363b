"""Paired tests against textbook cases, brute force, and a simulation in which there is no difference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tiny
from biomtl.scoring.metrics import METRICS
from biomtl.scoring.paired import Pairing, compare, holm
from biomtl.scoring.rows import Matched
from biomtl.scoring.scorer import main_metric, score
from biomtl.tasks.task import Task

TASK = Task.model_validate({"name": "t", "type": "classification", "labels": ["no", "yes"], "metric": "accuracy"})


def rows(name: str, answers: list[str], documents: list[str] | None = None) -> list[dict[str, object]]:
    return [
        {"id": f"{name}{i}", "label": label, **({"doc_id": documents[i]} if documents else {})}
        for i, label in enumerate(answers)
    ]


def system(gold: list[str], predicted: list[str], documents: list[str] | None = None, task: Task = TASK) -> Matched:
    return main_metric(task, rows("r", gold, documents), rows("r", predicted))[1]


def test_holms_correction() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_randomisation_is_exact_where_all_exchanges_can_be_tried() -> None:
    """Against every one of the 2^8 exchanges, tried by hand, with a metric that is not a mean over documents."""
    gold = ["yes", "no"] * 4
    first = ["yes", "no", "no", "yes", "no", "no", "no", "yes"]
    second = ["yes", "no", "yes", "no", "yes", "no", "no", "no"]
    task = TASK.model_copy(update={"metric": "macro_f1"})

    def value(answers: list[str]) -> float:
        return score(task, rows("r", gold), rows("r", answers), resamples=0).main.value

    observed = value(second) - value(first)
    found = []
    for swaps in itertools.product([0, 1], repeat=len(gold)):
        one = [b if s else a for a, b, s in zip(first, second, swaps, strict=True)]
        other = [a if s else b for a, b, s in zip(first, second, swaps, strict=True)]
        found.append(value(other) - value(one))
    more = min(np.mean(np.array(found) >= observed - 1e-9), np.mean(np.array(found) <= observed + 1e-9))
    pairing = Pairing(METRICS["macro_f1"], [system(gold, first, task=task)], [system(gold, second, task=task)])
    test = compare({"t": pairing}, resamples=1000)
    assert test.difference == pytest.approx(observed)
    assert test.p == pytest.approx(min(1.0, 2 * more))
    assert test.low <= test.difference <= test.high


@pytest.mark.parametrize("metric", ["pearson", "spearman", "mse"])
def test_exchanges_that_change_nothing_are_ties(metric: str) -> None:
    """The systems differ in one row of 40, so that every exchange gives the same difference, of either sign."""
    keys = {"name": "t", "type": "regression", "metric": metric}
    task = Task.model_validate(keys)
    random = np.random.default_rng(0)
    gold = [{"id": str(i), "score": float(x)} for i, x in enumerate(4000 * random.random(40))]
    far = random.normal(size=40, scale=1000)
    one = [{**record, "score": record["score"] + float(x)} for record, x in zip(gold, far, strict=True)]
    other = [gold[0], *one[1:]]
    (found, first), (_, second) = main_metric(task, gold, one), main_metric(task, gold, other)
    test = compare({"t": Pairing(found, [first], [second])}, resamples=1000)
    assert test.difference != 0
    assert test.p > 0.9


def test_documents_are_the_units() -> None:
    """Twenty rows of two documents are no more evidence than two."""
    gold = ["yes"] * 20
    documents = ["a"] * 10 + ["b"] * 10
    pairing = Pairing(METRICS["accuracy"], [system(gold, ["no"] * 20, documents)], [system(gold, gold, documents)])
    assert compare({"t": pairing}, resamples=1000).p == pytest.approx(0.5)  # one of four exchanges, two-sided
    alone = Pairing(METRICS["accuracy"], [system(gold, ["no"] * 20)], [system(gold, gold)])
    test = compare({"t": alone}, resamples=1000)
    assert test.p < 0.01
    assert (test.units, test.low, test.high) == (20, 1.0, 1.0)


@pytest.mark.parametrize("name", ["cls-text", "multi-text", "tag-drug", "reg-text"])
def test_every_kind_of_answer(name: str) -> None:
    """The differences are those of `score`; a system equals itself."""
    task = tiny.task(name)
    gold = tiny.records(name, 24)
    others = [
        [
            {**record, task_key: other[task_key]}
            for record, other in zip(gold, tiny.records(name, 24, seed), strict=True)
        ]
        for seed, task_key in ((1, key_of(name)), (2, key_of(name)))
    ]
    if name == "tag-drug":
        others = [[{**r, "tags": ["O"] * len(r["tags"])} if i % k else r for i, r in enumerate(gold)] for k in (2, 3)]
    metric, first = main_metric(task, gold, others[0])
    _, second = main_metric(task, gold, others[1])
    test = compare({name: Pairing(metric, [first], [second])}, resamples=200)
    values = [score(task, gold, side, resamples=0).main.value for side in others]
    assert test.difference == pytest.approx(values[1] - values[0])
    same = compare({name: Pairing(metric, [first], [first])}, resamples=200)
    assert (same.difference, same.p) == (0.0, pytest.approx(1.0))


def key_of(name: str) -> str:
    return {"cls": "label", "mul": "labels", "tag": "tags", "reg": "score"}[name[:3]]


def test_an_error_is_better_where_it_is_smaller() -> None:
    task = tiny.task("reg-text").model_copy(update={"metric": "mse", "metrics": ()})
    gold = tiny.records("reg-text", 12)
    far = [{**record, "score": record["score"] + 1} for record in gold]
    metric, first = main_metric(task, gold, far)
    _, second = main_metric(task, gold, gold)
    assert compare({"t": Pairing(metric, [first], [second])}, resamples=200).difference == pytest.approx(1.0)


def test_the_mean_over_tasks_resamples_shared_documents_together() -> None:
    """Two tasks over the same documents with opposite differences: their mean has no spread at all."""
    gold = ["yes"] * 30
    documents = [f"d{i}" for i in range(30)]
    random = np.random.default_rng(0)
    some = ["yes" if x else "no" for x in random.integers(0, 2, 30)]
    up = Pairing(METRICS["accuracy"], [system(gold, some, documents)], [system(gold, gold, documents)])
    down = Pairing(METRICS["accuracy"], [system(gold, gold, documents)], [system(gold, some, documents)])
    test = compare({"a": up, "b": down}, resamples=300)
    assert (test.difference, test.low, test.high) == pytest.approx((0.0, 0.0, 0.0))
    alone = compare({"a": up}, resamples=300)
    assert alone.low < alone.high


@pytest.mark.slow
def test_no_difference_is_found_where_there_is_none() -> None:
    """Of 200 pairs of equally good systems about 5 % have p below 0.05."""
    random = np.random.default_rng(1)
    found = []
    for _ in range(200):
        gold = ["yes"] * 60
        sides = [["yes" if x else "no" for x in random.random(60) < 0.7] for _ in range(2)]
        pairing = Pairing(METRICS["accuracy"], [system(gold, sides[0])], [system(gold, sides[1])])
        found.append(compare({"t": pairing}, resamples=400).p)
    assert np.mean(np.array(found) < 0.05) < 0.09
    assert np.mean(found) > 0.45


def test_relations_between_concepts() -> None:
    """A metric that reads more than labels is recomputed on the documents of both systems."""
    keys = {"type": "relation", "labels": ["no", "yes"], "negative": "no", "metric": "concept_pair_f1"}
    task = Task.model_validate({"name": "r", **keys, "relation": {"first": "drug", "second": "illness"}})
    entities = [[{"identifiers": [f"C{i}"]}, {"identifiers": [f"D{i}"]}] for i in range(12)]
    gold = [{"id": str(i), "doc_id": f"d{i // 2}", "label": "yes", "entities": e} for i, e in enumerate(entities)]
    first = [{"id": str(i), "label": "yes" if i % 3 == 0 else "no"} for i in range(12)]
    second = [{"id": str(i), "label": "yes" if i % 4 else "no"} for i in range(12)]
    systems = [main_metric(task, gold, predicted) for predicted in (first, second)]
    test = compare({"r": Pairing(systems[0][0], [systems[0][1]], [systems[1][1]])}, resamples=200)
    values = [score(task, gold, predicted, resamples=0).main.value for predicted in (first, second)]
    assert test.difference == pytest.approx(values[1] - values[0])


def test_only_one_system_has_probabilities() -> None:
    """Those of the one stay what they are; the other's answers are certain."""
    task = TASK.model_copy(update={"metric": "auc"})
    gold = rows("r", ["yes", "no"] * 6)
    sure = rows("r", ["yes", "no", "no", "no"] * 3)
    unsure = [{**row, "probabilities": {"yes": 0.3 + i / 30, "no": 0.7 - i / 30}} for i, row in enumerate(sure)]
    values = [score(task, gold, predicted, resamples=0).main.value for predicted in (sure, unsure)]
    metric, one = main_metric(task, gold, sure)
    _, other = main_metric(task, gold, unsure)
    for first, second, sign in ((one, other, 1), (other, one, -1)):
        test = compare({"t": Pairing(metric, [first], [second])}, resamples=100)
        assert test.difference == pytest.approx(sign * (values[1] - values[0]))
