"""The vectorised scorers against plain loops."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomtl.scoring import METRICS, score_records
from biomtl.scoring.entities import EntityKey, conlleval_counts, span_counts
from biomtl.scoring.labels import count_sets, example_f1, f1
from biomtl.scoring.measure import Measure, bootstrap
from biomtl.scoring.regression import mse, pearson, spearman
from biomtl.tasks import Task
from biomtl.text.tags import chunks

LABELS = ("A", "B", "C")
DOCS = st.lists(st.integers(0, 3), min_size=1, max_size=20)


def value(measure: Measure, units: int) -> float:
    return float(measure.estimate(np.ones((1, units)))[0])


def units_of(docs: Sequence[int]) -> Any:
    return np.unique(np.array(docs), return_inverse=True)[1].astype(np.int64)


def naive_f1(pairs: list[tuple[str, str]], label: str) -> float:
    right = sum(g == p == label for g, p in pairs)
    found, wanted = sum(p == label for _, p in pairs), sum(g == label for g, _ in pairs)
    precision, recall = right / found if found else 0, right / wanted if wanted else 0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


def naive_micro(pairs: list[tuple[str, str]], labels: Sequence[str]) -> float:
    right = sum(g == p and g in labels for g, p in pairs)
    found, wanted = sum(p in labels for _, p in pairs), sum(g in labels for g, _ in pairs)
    return 2 * right / (found + wanted) if found + wanted else 0


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=30))
def test_class_metrics(pairs: list[tuple[str, str]]) -> None:
    task = Task(
        name="t",
        labels=LABELS,
        negative="C",
        metric="accuracy",
        metrics=("micro_f1", "macro_f1", "micro_f1_positive", "macro_f1_positive"),
    )
    gold = [{"id": str(i), "label": g} for i, (g, _) in enumerate(pairs)]
    predicted = [{"id": str(i), "label": p} for i, (_, p) in enumerate(pairs)]
    random.Random(1).shuffle(predicted)
    found = {name: metric.value for name, metric in score_records(task, gold, predicted, resamples=0).metrics.items()}
    expected = {
        "accuracy": sum(g == p for g, p in pairs) / len(pairs),
        "micro_f1": naive_micro(pairs, LABELS),
        "macro_f1": sum(naive_f1(pairs, label) for label in LABELS) / 3,
        "micro_f1_positive": naive_micro(pairs, "AB"),
        "macro_f1_positive": sum(naive_f1(pairs, label) for label in "AB") / 2,
    }
    assert found == pytest.approx(expected)


SETS = st.frozensets(st.integers(0, 2))


@given(st.lists(st.tuples(st.integers(0, 3), SETS, SETS), min_size=1, max_size=20))
def test_example_f1(rows: list[tuple[int, frozenset[int], frozenset[int]]]) -> None:
    precisions, recalls = [], []
    for doc in {doc for doc, _, _ in rows}:
        gold = set().union(*(g for d, g, _ in rows if d == doc))
        found = set().union(*(p for d, _, p in rows if d == doc))
        precisions.append(len(gold & found) / len(found) if found else 0)
        recalls.append(len(gold & found) / len(gold) if gold else 0)
    p, r = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    units = units_of([doc for doc, _, _ in rows])
    measure = example_f1(LABELS, [g for _, g, _ in rows], [p for _, _, p in rows], units)
    assert value(measure, units.max() + 1) == pytest.approx(2 * p * r / (p + r) if p + r else 0)


TAGS = st.sampled_from(["O", "B", "I", "B-X", "I-X", "B-Y", "I-Y", "E-X", "S-Y"])


def conlleval_script(gold: list[list[str]], predicted: list[list[str]]) -> tuple[int, int, int]:
    """(correct, gold, predicted) chunks, counted line by line with the script's own state machine."""

    def parts(tag: str) -> tuple[str, str]:
        return (tag.split("-", 1)[0], tag.split("-", 1)[1]) if "-" in tag else (tag, "")

    def ended(previous: str, tag: str, old_type: str, new_type: str) -> bool:
        return (
            previous in "ES"
            or (previous in "BI" and tag in "BSO")
            or (previous != "O" and previous != "." and old_type != new_type)
        )

    def started(previous: str, tag: str, old_type: str, new_type: str) -> bool:
        return (
            tag in "BS" or (previous in "ESO" and tag in "EI") or (tag != "O" and tag != "." and old_type != new_type)
        )

    right = wanted = found = 0
    inside = False
    last_gold, last_predicted = ("O", ""), ("O", "")
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        for gold_tag, predicted_tag in [*zip(gold_tags, predicted_tags, strict=True), ("O", "O")]:
            now_gold, now_predicted = parts(gold_tag), parts(predicted_tag)
            ends = ended(last_gold[0], now_gold[0], last_gold[1], now_gold[1])
            guess_ends = ended(last_predicted[0], now_predicted[0], last_predicted[1], now_predicted[1])
            starts = started(last_gold[0], now_gold[0], last_gold[1], now_gold[1])
            guess_starts = started(last_predicted[0], now_predicted[0], last_predicted[1], now_predicted[1])
            if inside:
                if ends and guess_ends and last_gold[1] == last_predicted[1]:
                    inside, right = False, right + 1
                elif ends != guess_ends or now_gold[1] != now_predicted[1]:
                    inside = False
            if starts and guess_starts and now_gold[1] == now_predicted[1]:
                inside = True
            wanted += starts
            found += guess_starts
            last_gold, last_predicted = now_gold, now_predicted
    return right, wanted, found


@given(st.lists(st.lists(st.tuples(TAGS, TAGS), max_size=8), min_size=1, max_size=4))
def test_conlleval_counts(sentences: list[list[tuple[str, str]]]) -> None:
    gold = [[g for g, _ in sentence] for sentence in sentences]
    predicted = [[p for _, p in sentence] for sentence in sentences]
    counts = conlleval_counts(("", "X", "Y"), gold, predicted, np.zeros(len(gold), dtype=np.int64))
    found = int(counts.correct.sum()), int(counts.gold.sum()), int(counts.predicted.sum())
    assert found == conlleval_script(gold, predicted)


@given(st.lists(TAGS, max_size=12))
def test_chunks_lie_in_order_and_cover_every_inside_tag(tags: list[str]) -> None:
    found = chunks(tags)
    covered = [at for start, end, _ in found for at in range(start, end)]
    assert covered == [at for at, tag in enumerate(tags) if tag != "O"]


MENTIONS = st.lists(
    st.builds(
        EntityKey,
        st.sampled_from("de"),
        st.sampled_from("XY"),
        st.lists(st.tuples(st.integers(0, 2), st.integers(3, 4)), min_size=1, max_size=2).map(tuple),
    ),
    max_size=8,
)


@given(MENTIONS, MENTIONS, st.booleans())
def test_span_counts(gold: list[EntityKey], predicted: list[EntityKey], typed: bool) -> None:
    def same(a: EntityKey, b: EntityKey) -> bool:
        return a.doc_id == b.doc_id and a.spans == b.spans and (a.type == b.type or not typed)

    right = sum(any(same(g, p) for p in predicted) for g in gold)
    wrong = sum(not any(same(g, p) for g in gold) for p in predicted)
    counts = span_counts(("X", "Y"), ["d", "e"], gold, predicted, typed=typed)
    assert (counts.correct.sum(), counts.gold.sum(), counts.predicted.sum()) == (right, len(gold), right + wrong)


NUMBERS = st.one_of(st.integers(0, 4).map(float), st.floats(-1e6, 1e6, allow_subnormal=False))


def naive_pearson(x: list[float], y: list[float]) -> float:
    a, b = np.array(x, dtype=np.longdouble), np.array(y, dtype=np.longdouble)
    a, b = a - a.mean(), b - b.mean()
    below = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / below) if len(set(x)) > 1 and len(set(y)) > 1 and below else 0.0


def naive_ranks(values: list[float]) -> list[float]:
    return [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=15))
def test_correlations(pairs: list[tuple[float, float]]) -> None:
    x, y = [a for a, _ in pairs], [b for _, b in pairs]
    gold, predicted, units = np.array(x), np.array(y), np.arange(len(x))
    assert value(spearman(gold, predicted, units), len(x)) == pytest.approx(
        naive_pearson(naive_ranks(x), naive_ranks(y)), abs=1e-9
    )
    assert value(mse(gold, predicted, units), len(x)) == pytest.approx(sum((a - b) ** 2 for a, b in pairs) / len(pairs))
    if min(np.ptp(gold), np.ptp(predicted)) > 1e-3:  # else the values' own rounding decides
        assert value(pearson(gold, predicted, units), len(x)) == pytest.approx(naive_pearson(x, y), abs=1e-6)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 3), SETS, SETS, NUMBERS, NUMBERS), min_size=1, max_size=12),
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
)
def test_weights_mean_the_same_as_repeated_documents(rows: list[Any], times: list[int]) -> None:
    """Bootstrap weights give the score of a corpus in which each document is repeated that often."""

    def measures(rows: list[Any], units: Any) -> list[Measure]:
        gold, predicted = [row[1] for row in rows], [row[2] for row in rows]
        counts = count_sets(LABELS, gold, predicted, units)
        x, y = np.array([row[3] for row in rows]), np.array([row[4] for row in rows])
        labelled = [f1(counts, "micro"), f1(counts, "macro"), example_f1(LABELS, gold, predicted, units)]
        return [*labelled, mse(x, y, units), spearman(x, y, units)]

    units = units_of([row[0] for row in rows])
    weights = np.array(times[: units.max() + 1], dtype=np.float64)
    drawn = [((unit, copy), row) for row, unit in zip(rows, units, strict=True) for copy in range(int(weights[unit]))]
    if not drawn:
        return
    names = sorted({name for name, _ in drawn})
    repeated = np.array([names.index(name) for name, _ in drawn])
    for weighted, expanded in zip(measures(rows, units), measures([row for _, row in drawn], repeated), strict=True):
        once = float(weighted.estimate(weights[None])[0])
        assert once == pytest.approx(value(expanded, len(names)), rel=1e-6, abs=1e-9)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=12),
)
def test_weighted_pearson(rows: list[tuple[int, int, int]]) -> None:
    gold, predicted = (np.array([row[side] for row in rows], dtype=np.float64) for side in (0, 1))
    weights = np.array([[row[2] for row in rows]], dtype=np.float64)
    drawn = [row for row in rows for _ in range(row[2])]
    found = float(pearson(gold, predicted, np.arange(len(rows))).estimate(weights)[0])
    expected = naive_pearson([float(row[0]) for row in drawn], [float(row[1]) for row in drawn]) if drawn else 0.0
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_interval_is_the_percentiles_of_resampled_documents() -> None:
    generator = random.Random(5)
    gold = [{"id": str(i), "doc_id": str(i // 4), "label": generator.choice("AB")} for i in range(80)]
    predicted = [{"id": row["id"], "label": generator.choice("AB")} for row in gold]
    task = Task(name="t", labels=("A", "B"), metric="accuracy")
    result = score_records(task, gold, predicted, seed=7, resamples=4000).main
    right = np.array([g["label"] == p["label"] for g, p in zip(gold, predicted, strict=True)]).reshape(20, 4)
    drawn = np.random.default_rng(0).integers(0, 20, size=(4000, 20))
    low, high = np.percentile(right.mean(axis=1)[drawn].mean(axis=1), [2.5, 97.5])
    assert result.low == pytest.approx(low, abs=0.015)
    assert result.high == pytest.approx(high, abs=0.015)


def test_the_seed_decides_the_interval() -> None:
    values = np.arange(50, dtype=np.float64)
    estimates = [lambda weights: weights @ values]
    once, again, other = (bootstrap(estimates, 50, seed=seed, resamples=100) for seed in (1, 1, 2))
    assert once == again != other
    assert bootstrap(estimates, 50, seed=1, resamples=0) == [(None, None)]


def test_a_gold_copy_scores_one_by_every_metric() -> None:
    entities = [{"identifiers": ["C1"]}, {"identifiers": ["C2"]}]
    rows = [
        {"id": str(i), "doc_id": str(i // 2), "label": "AB"[i % 2], "score": i, "labels": ["A"], "entities": entities}
        for i in range(8)
    ]
    for metric in METRICS.values():
        if metric.types[0] in ("tagging", "ranking", "span"):
            continue  # their records have another shape and tests of their own
        negative = "C" if metric.needs_negative else None
        task = Task(
            name="t",
            type=metric.types[0],
            labels=("A", "B", "C")[: 3 if negative else 2],
            negative=negative,
            metric=metric.id,
        )
        result = score_records(task, rows, rows).main
        assert result.value == pytest.approx(1.0 if metric.higher_is_better else 0.0)
        assert result.low == pytest.approx(result.value)
