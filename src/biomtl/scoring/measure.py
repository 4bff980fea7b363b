"""A metric as a function of document weights, so that one definition gives both its value and its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biomtl.scoring.result import LabelRow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Estimate = Callable[[Floats], Floats]
"""Maps weights ``[resamples, units]`` (how often each unit was drawn) to values ``[resamples]``."""


@dataclass(frozen=True)
class Measure:
    """The result of a metric. ``estimate`` with weights of one is the metric's value."""

    estimate: Estimate
    precision: float | None
    recall: float | None
    support: int
    labels: tuple[LabelRow, ...] = ()
    notes: tuple[str, ...] = ()


def ratio(above: Floats, below: Floats) -> Floats:
    """``above / below``, and 0 where ``below`` is 0, as in BLUE's scorers and conlleval."""
    return np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below != 0)


def bootstrap(
    estimates: Sequence[Estimate], units: int, *, seed: int, resamples: int
) -> list[tuple[float, float] | tuple[None, None]]:
    """The 95 % percentile interval of each estimate; all use the same resamples of the units.

    As many units (documents) as there are are sampled with replacement. Because estimates use weighted sums, a resample
    costs one row of a matrix product and no further pass over the records.
    """
    if resamples == 0 or units == 0:
        return [(None, None)] * len(estimates)
    random = np.random.default_rng(seed)
    values: list[list[Floats]] = [[] for _ in estimates]
    for start in range(0, resamples, 32):  # 32 rows of weights stay in the cache and keep memory flat
        rows = min(32, resamples - start)
        drawn = random.integers(0, units, size=(rows, units)) + units * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(np.float64)
        for resampled, estimate in zip(values, estimates, strict=True):
            resampled.append(estimate(weights))
    bounds = [np.percentile(np.concatenate(resampled), [2.5, 97.5]) for resampled in values]
    return [(float(low), float(high)) for low, high in bounds]
