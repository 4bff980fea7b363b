"""The metrics by id, each with the full name that is printed with its value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any

from biomtl.errors import InputError, nearest
from biomtl.scoring import answers, regression
from biomtl.scoring.concepts import concept_counts
from biomtl.scoring.entities import conlleval_counts, span_counts, word_counts
from biomtl.scoring.labels import accuracy, example_f1, f1, matthews, roc_auc
from biomtl.scoring.measure import Measure
from biomtl.scoring.rows import Matched
from biomtl.scoring.table import Table
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of


@dataclass(frozen=True)
class Metric:
    """A metric's id, full name, the task types it applies to, and how it is computed.

    ``read`` takes the values of such a type from gold and predicted records; types that scoring knows need none. A
    package adds metrics through the entry point group ``biomtl.metrics``, each entry naming a `Metric`.
    """

    id: str
    title: str
    types: tuple[str, ...]
    measure: Callable[[Matched], Measure]
    needs_negative: bool = False
    two_classes: bool = False
    higher_is_better: bool = True
    read: Callable[[Table, Task], list[Any]] | None = None


def _spans(rows: Matched) -> Measure:
    assert rows.gold_mentions is not None
    assert rows.predicted_mentions is not None
    return f1(span_counts(rows.labels, rows.documents, rows.gold_mentions, rows.predicted_mentions), "micro")


def _conlleval(rows: Matched) -> Measure:
    return f1(conlleval_counts(rows.labels, rows.gold, rows.predicted, rows.unit_of), "micro")


def _words(rows: Matched) -> Measure:
    return f1(word_counts(rows.labels, rows.gold, rows.predicted, rows.unit_of), "macro")


def _example(rows: Matched) -> Measure:
    return example_f1(rows.labels, rows.gold, rows.predicted, rows.unit_of)


def _concept_pairs(rows: Matched) -> Measure:
    assert rows.concepts is not None
    counts = concept_counts(rows.labels, rows.concepts, rows.gold, rows.predicted, rows.unit_of)
    measure = f1(counts.only([label for label in rows.labels if label != rows.task.negative]), "micro")
    without = sum(not pairs for pairs in rows.concepts)
    note = f"left out, without a concept identifier: {without:,} of {len(rows.concepts):,} rows"
    return replace(measure, notes=(note,)) if without else measure


CONCEPT_PAIRS = Metric(
    "concept_pair_f1",
    "micro-averaged F1 over pairs of concepts in a document, without the negative class",
    ("relation",),
    _concept_pairs,
    needs_negative=True,
)
_ALL = (
    Metric("pearson", "Pearson correlation", ("regression",), lambda r: regression.pearson(*r.numbers())),
    Metric("spearman", "Spearman rank correlation", ("regression",), lambda r: regression.spearman(*r.numbers())),
    Metric(
        "mse", "mean squared error", ("regression",), lambda r: regression.mse(*r.numbers()), higher_is_better=False
    ),
    Metric("accuracy", "accuracy", ("classification",), lambda r: accuracy(r.counts)),
    Metric(
        "micro_f1",
        "micro-averaged F1 over all labels",
        ("classification", "multilabel"),
        lambda r: f1(r.counts, "micro"),
    ),
    Metric(
        "macro_f1",
        "macro-averaged F1 over all labels (mean of the labels' F1)",
        ("classification", "multilabel"),
        lambda r: f1(r.counts, "macro"),
    ),
    Metric(
        "micro_f1_positive",
        "micro-averaged F1 without the negative class",
        ("classification",),
        lambda r: f1(r.positive(), "micro"),
        needs_negative=True,
    ),
    Metric(
        "macro_f1_positive",
        "macro-averaged F1 without the negative class (mean of the labels' F1)",
        ("classification",),
        lambda r: f1(r.positive(), "macro"),
        needs_negative=True,
    ),
    Metric("mcc", "Matthews correlation coefficient", ("classification",), lambda r: matthews(r.counts)),
    Metric(
        "auc",
        "area under the ROC curve of the positive class",
        ("classification",),
        lambda r: roc_auc(*r.positive_rows()),
        two_classes=True,
    ),
    CONCEPT_PAIRS,
    Metric(
        "entity_f1_conlleval",
        "entity F1 over exact chunks (conlleval)",
        ("tagging",),
        _conlleval,
    ),
    Metric("entity_f1_spans", "entity F1 over exact document spans (BLUE's eval_ner)", ("tagging",), _spans),
    Metric("word_macro_f1", "macro-averaged F1 over words (mean of the types' F1)", ("tagging",), _words),
    Metric(
        "example_f1_documents",
        "example-based F1 over documents (F1 of mean precision and mean recall)",
        ("multilabel",),
        _example,
    ),
    Metric(
        "mean_reciprocal_rank",
        "mean reciprocal rank of the right candidate",
        ("ranking",),
        lambda r: answers.reciprocal_rank(r.gold, r.predicted, r.unit_of),
        read=answers.read_choices,
    ),
    Metric(
        "accuracy_at_1",
        "accuracy of the first-ranked candidate",
        ("ranking",),
        lambda r: answers.accuracy_at_1(r.gold, r.predicted, r.unit_of),
        read=answers.read_choices,
    ),
    Metric(
        "span_token_f1",
        "token-overlap F1 of the answer (mean over rows, words lower-cased)",
        ("span",),
        lambda r: answers.token_f1(r.gold, r.predicted, r.unit_of),
        read=answers.read_answers,
    ),
    Metric(
        "span_exact_match",
        "exact match of the answer's character span",
        ("span",),
        lambda r: answers.exact_match(r.gold, r.predicted, r.unit_of),
        read=answers.read_answers,
    ),
    Metric(
        "squad_f1",
        "SQuAD's F1 (mean over questions of the best F1 of normalised words with a right answer)",
        ("span",),
        lambda r: answers.squad_f1(r.gold, r.predicted, r.unit_of),
        read=answers.read_answers,
    ),
    Metric(
        "squad_exact_match",
        "SQuAD's exact match (of normalised answers)",
        ("span",),
        lambda r: answers.squad_exact_match(r.gold, r.predicted, r.unit_of),
        read=answers.read_answers,
    ),
)
METRICS: dict[str, Metric] = {metric.id: metric for metric in _ALL}
METRICS |= {entry.name: entry.load() for entry in entry_points(group="biomtl.metrics") if entry.name not in METRICS}


def metrics_of(task: Task) -> list[Metric]:
    """The task's metrics, the main one first.

    Raises:
        InputError: an unknown metric, or one that doesn't fit the task's type.
    """
    chosen = []
    for name in dict.fromkeys((task.metric, *task.metrics)):
        if name not in METRICS:
            raise InputError(f"task {task.name}: unknown metric {name!r}", fix=nearest(name, METRICS))
        metric = METRICS[name]
        if not _fits(metric, task):
            fitting = ", ".join(other.id for other in METRICS.values() if _fits(other, task)) or "none"
            raise InputError(
                f"task {task.name}: metric {name} is for {' and '.join(metric.types)}, the task is {task.type}",
                fix=f"metrics for {task.type}: {fitting}",
            )
        if metric.needs_negative and task.negative is None:
            fix = "name it under `negative`, or choose another metric, such as micro_f1"
            raise InputError(f"task {task.name}: metric {name} needs a negative class", fix=fix)
        if metric.two_classes and len(task.labels) != 2:
            problem = f"task {task.name}: metric {name} for {len(task.labels)} labels"
            raise InputError(problem, expected="two", fix="choose another, such as macro_f1")
        chosen.append(metric)
    return chosen


def _fits(metric: Metric, task: Task) -> bool:
    """Whether a metric applies to the task's type, or to one of its parents."""
    return any(name in metric.types for name in type_of(task).family)
