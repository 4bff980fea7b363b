"""How much of the scores of trials each key of a search accounts for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from biomtl.scoring.measure import Floats

THIRDS = (1 / 3, 2 / 3)


def importance(
    trials: Sequence[Mapping[str, Any]], scores: Sequence[float], ranges: Collection[str]
) -> dict[str, float]:
    """Each key's share of the variance of the scores, estimated by omega squared (Hays 1963); the largest first.

    It is the share between the values of a key, of a range between its low, middle and high values. A key that does
    nothing has a share near 0 however many values it has. Keys with too few trials for an estimate are left out, and
    all of them if the scores are equal.

    Args:
        trials: each trial's values by key.
        scores: their scores.
        ranges: the keys whose values are numbers between two ends.
    """
    found = {}
    for key in trials[0] if len(set(scores)) > 1 else ():
        values = [trial[key] for trial in trials]
        groups = np.digitize(values, np.quantile(values, THIRDS)).tolist() if key in ranges else values
        share = _omega_squared(groups, np.array(scores, dtype=np.float64))
        if share is not None:
            found[key] = share
    return dict(sorted(found.items(), key=lambda entry: -entry[1]))


def _omega_squared(groups: Sequence[Any], scores: Floats) -> float | None:
    """The share; ``None`` with fewer than two groups, or without a group of two."""
    members = [scores[[other == group for other in groups]] for group in dict.fromkeys(groups)]
    if not 1 < len(members) < len(scores):
        return None
    total = float(((scores - scores.mean()) ** 2).sum())
    within = sum(float(((own - own.mean()) ** 2).sum()) for own in members)
    chance = within / (len(scores) - len(members))
    between = total - within - (len(members) - 1) * chance
    return max(0.0, between / (total + chance))
