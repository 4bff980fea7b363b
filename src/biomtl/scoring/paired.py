"""Paired tests of two systems on the same documents: bootstrap, approximate randomisation, Holm's correction.

Both resampling methods need a metric of documents that are drawn repeatedly, or of which some come from one system and
some from the other. Each is one vector of weights over the documents of both systems, so that every metric's own
definition serves (`Measure.estimate`), F1 and correlations included.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from biomtl.scoring.entities import EntityKey
from biomtl.scoring.measure import Floats, Ints
from biomtl.scoring.metrics import Metric
from biomtl.scoring.rows import Matched

BATCH = 64  # resamples at a time: keeps memory flat
DIGITS = 12  # that count: sums in another order differ in the last ones, and would break ties


@dataclass(frozen=True)
class Test:
    """The difference of two systems in one metric, positive where the second is better.

    Attributes:
        difference: the second's value minus the first's; of an error, the first's minus the second's.
        low: lower end of the 95 % interval of the paired bootstrap over documents.
        high: its upper end.
        p_bootstrap: two-sided, from the share of resamples in which the sign is the other.
        p: two-sided, of approximate randomisation over documents (Noreen 1989; Yeh 2000).
        units: number of documents.
    """

    difference: float
    low: float
    high: float
    p_bootstrap: float
    p: float
    units: int


class Pairing:
    """Two systems on one task, as a function of document weights.

    Args:
        metric: the metric.
        first: gold and predicted values of the first system, of one run or several with different seeds.
        second: the same of the second, as many.

    Attributes:
        documents: the names of the documents, sorted.
    """

    def __init__(self, metric: Metric, first: Sequence[Matched], second: Sequence[Matched]) -> None:
        # Rows without a document are not documents that another task might share.
        task = first[0].task.name
        named = [f"{task} {name}" if name.startswith("row ") else name for name in first[0].documents]
        self.documents = tuple(sorted(named))
        # Columns of the estimate's weights for the documents in sorted order; the second system's come after.
        self._column = np.argsort(np.array(named, dtype=object), kind="stable")
        self._sign = 1.0 if metric.higher_is_better else -1.0
        pairs = zip(first, second, strict=True)
        self._estimates = [metric.measure(both(one, other)).estimate for one, other in pairs]

    def difference(self, first: Floats, second: Floats, mixed: bool = False) -> Floats:
        """``[resamples]`` differences, the mean over the runs.

        Args:
            first: ``[resamples, documents]`` weights of the first system's documents.
            second: the same of the second's.
            mixed: whether these make up one system, whose counterpart has them exchanged; otherwise they are two.
        """
        nothing = np.zeros_like(first)
        plus, minus = ((first, second), (second, first)) if mixed else ((nothing, second), (first, nothing))
        return self._sign * (self._value(*plus) - self._value(*minus))

    def _value(self, first: Floats, second: Floats) -> Floats:
        count = len(self.documents)
        weights = np.empty((len(first), 2 * count))
        weights[:, self._column] = first
        weights[:, count + self._column] = second
        return _rounded(np.mean([estimate(weights) for estimate in self._estimates], axis=0))


def both(first: Matched, second: Matched) -> Matched:
    """The rows of two systems as those of one, whose documents are twice as many."""

    def mentions(one: Sequence[EntityKey] | None, other: Sequence[EntityKey] | None) -> tuple[EntityKey, ...] | None:
        if one is None or other is None:
            return None
        return (
            *(replace(m, doc_id=f"1 {m.doc_id}") for m in one),
            *(replace(m, doc_id=f"2 {m.doc_id}") for m in other),
        )

    return Matched(
        first.task,
        first.labels,
        [*first.gold, *second.gold],
        [*first.predicted, *second.predicted],
        np.concatenate([first.unit_of, second.unit_of + first.units]),
        2 * first.units,
        (*(f"1 {name}" for name in first.documents), *(f"2 {name}" for name in second.documents)),
        mentions(first.gold_mentions, second.gold_mentions),
        mentions(first.predicted_mentions, second.predicted_mentions),
        None
        if first.probabilities is None and second.probabilities is None
        else np.concatenate([_probabilities(first), _probabilities(second)]),
        None if first.concepts is None or second.concepts is None else [*first.concepts, *second.concepts],
    )


def _probabilities(rows: Matched) -> Floats:
    """``[rows, labels]``: those of the predictions, which are certain where they give none."""
    if rows.probabilities is not None:
        return rows.probabilities
    return np.eye(len(rows.labels))[[label for (label,) in rows.predicted]]


def compare(pairings: Mapping[str, Pairing], *, resamples: int, seed: int = 0) -> Test:
    """Test the mean difference over tasks; of one task, its difference.

    Tasks over the very same documents are resampled together; all others independently.

    Args:
        pairings: the two systems on each task.
        resamples: of either test.
        seed: of both.
    """
    strata: dict[tuple[str, ...], list[Pairing]] = {}
    for pairing in pairings.values():
        strata.setdefault(pairing.documents, []).append(pairing)
    sizes = [len(documents) for documents in strata]
    starts = np.cumsum([0, *sizes])

    def difference(weights: Sequence[tuple[Floats, Floats]], mixed: bool = False) -> Floats:
        values = [
            pairing.difference(*own, mixed)
            for own, members in zip(weights, strata.values(), strict=True)
            for pairing in members
        ]
        return np.mean(values, axis=0)

    def drawn(*samples: Ints, axis: int = -1) -> Floats:
        counted = [_counts(np.atleast_2d(sample), size) for sample, size in zip(samples, sizes, strict=True)]
        return difference([(weights, weights) for weights in counted]).reshape(samples[0].shape[:-1])

    def exchanged(first: Ints, second: Ints, axis: int = -1) -> Floats:
        # An index below the total is a document of the first system: those that the second argument has are swapped.
        swapped = (np.atleast_2d(second) < starts[-1]).astype(np.float64)
        parts = [swapped[:, start:end] for start, end in itertools.pairwise(starts)]
        return difference([(part, 1 - part) for part in parts], mixed=True).reshape(first.shape[:-1])

    observed = float(drawn(*(np.arange(size) for size in sizes)))
    units = np.arange(starts[-1])
    if len(units) < 2:
        return Test(observed, observed, observed, 1.0, 1.0, len(units))
    bootstrapped = stats.bootstrap(
        [np.arange(size) if size > 1 else np.zeros(2, np.int64) for size in sizes],  # scipy wants two of each
        drawn,
        n_resamples=resamples,
        batch=BATCH,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    randomised = stats.permutation_test(
        (units, units + starts[-1]),
        exchanged,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=BATCH,
        rng=np.random.default_rng([seed, 1]),
    )
    values = bootstrapped.bootstrap_distribution
    other_sign = min((values <= 0).sum(), (values >= 0).sum())
    low, high = bootstrapped.confidence_interval
    p_bootstrap = min(1.0, 2 * (other_sign + 1) / (len(values) + 1))
    return Test(observed, float(low), float(high), float(p_bootstrap), float(min(randomised.pvalue, 1.0)), len(units))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number by Holm's step-down procedure (1979); scipy has none that bounds this error.

    The chance of any false finding among them is at most the level at which they are read.
    """
    corrected = np.empty(len(p_values))
    reached = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = reached
    return corrected.tolist()


def _rounded(values: Floats) -> Floats:
    """The values with so many significant digits that those that are equal but for rounding are equal."""
    unit = 10.0 ** (np.floor(np.log10(np.abs(np.where(values == 0, 1.0, values)))) - DIGITS)
    return np.round(values / unit) * unit


def _counts(drawn: Ints, size: int) -> Floats:
    """``[resamples, size]``: how often each document is in each row of ``drawn`` indices."""
    rows = len(drawn)
    flat = (drawn + size * np.arange(rows)[:, None]).ravel()
    return np.bincount(flat, minlength=rows * size).reshape(rows, size).astype(np.float64)
