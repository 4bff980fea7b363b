"""Metrics of real-valued scores: Pearson, Spearman, mean squared error."""

from __future__ import annotations

import numpy as np

from biomtl.scoring.measure import Floats, Ints, Measure, ratio

_TINY = 1e-12  # relative variance below which numbers are equal except for rounding


def pearson(gold: Floats, predicted: Floats, unit_of: Ints) -> Measure:
    """Pearson's r. If one side is constant r is undefined (0/0); it then counts as 0, with a note."""
    x, y = _standard(gold), _standard(predicted)
    sums = _by_unit(np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1), unit_of)
    return Measure(
        lambda weights: _correlation(weights @ sums), None, None, len(gold), notes=_constant(gold, predicted)
    )


def spearman(gold: Floats, predicted: Floats, unit_of: Ints) -> Measure:
    """Pearson's r of the ranks; equal values share their mean rank. Ranks are recomputed in every resample."""

    def estimate(weights: Floats) -> Floats:
        rows = weights[:, unit_of]
        x, y = _ranks(gold, rows), _ranks(predicted, rows)
        sums = np.stack([rows.sum(axis=1), *((rows * v).sum(axis=1) for v in (x, y, x * x, y * y, x * y))], axis=1)
        return _correlation(sums)

    return Measure(estimate, None, None, len(gold), notes=_constant(gold, predicted))


def mse(gold: Floats, predicted: Floats, unit_of: Ints) -> Measure:
    """Mean of the squared differences, in squared score units."""
    sums = _by_unit(np.stack([(gold - predicted) ** 2, np.ones_like(gold)], axis=1), unit_of)

    def estimate(weights: Floats) -> Floats:
        total = weights @ sums
        return ratio(total[:, 0], total[:, 1])

    return Measure(estimate, None, None, len(gold))


def _by_unit(values: Floats, unit_of: Ints) -> Floats:
    """Sums of ``values`` ``[rows, k]`` over each unit's rows: ``[units, k]``."""
    sums = np.zeros((int(unit_of.max()) + 1 if len(unit_of) else 0, values.shape[1]))
    np.add.at(sums, unit_of, values)
    return sums


def _standard(values: Floats) -> Floats:
    """Standardise to mean 0 and variance 1, so that sums of squares lose no digits; a constant becomes exactly 0."""
    span = np.ptp(values) if len(values) else 0.0
    if span < np.finfo(np.float64).tiny:
        return np.zeros_like(values)
    centred = (values - values.min()) / span  # scaled first: the squares of tiny differences would be 0
    centred = centred - centred.mean()
    return centred / centred.std()


def _correlation(sums: Floats) -> Floats:
    """r from the rows ``n, Σx, Σy, Σx², Σy², Σxy`` of ``sums`` ``[resamples, 6]``."""
    n, x, y, xx, yy, xy = sums.T
    spread_x, spread_y = n * xx - x * x, n * yy - y * y
    flat = (spread_x <= _TINY * n * np.maximum(xx, _TINY)) | (spread_y <= _TINY * n * np.maximum(yy, _TINY))
    below = np.where(flat, 0.0, np.sqrt(np.where(flat, 0.0, spread_x)) * np.sqrt(np.where(flat, 0.0, spread_y)))
    return np.clip(ratio(n * xy - x * y, below), -1.0, 1.0)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Ranks ``[resamples, rows]`` of ``values`` ``[rows]`` where row ``i`` occurs ``weights[:, i]`` times, centred."""
    distinct, group = np.unique(values, return_inverse=True)
    sizes = np.zeros((weights.shape[0], len(distinct)))
    np.add.at(sizes.T, group, weights.T)
    middle = np.cumsum(sizes, axis=1) - sizes / 2  # of each block of equal values; a shift by 1/2 doesn't matter
    return (middle - weights.sum(axis=1, keepdims=True) / 2)[:, group]


def _constant(gold: Floats, predicted: Floats) -> tuple[str, ...]:
    names = [name for name, side in (("gold", gold), ("predicted", predicted)) if len(side) and np.ptp(side) == 0]
    return tuple(f"all {name} scores are equal: the correlation is undefined and counts as 0" for name in names)
