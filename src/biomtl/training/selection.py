"""Which dev score selects a run's model: ``metric_for_best_model``."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

MEAN = "mean"
"""The dev aggregate: mean of every task's main metric."""
FEW_ROWS = 50
"""Below this many dev rows, chance moves a score by several points from one evaluation to the next."""
Chosen = str | tuple[str, ...] | None
"""``mean`` or ``None`` for all tasks, a task, or several."""


def selecting_tasks(chosen: Chosen) -> tuple[str, ...]:
    """The tasks by name whose scores select; none for the mean of all."""
    if chosen is None or chosen == MEAN:
        return ()
    return (chosen,) if isinstance(chosen, str) else chosen


def selecting_score(chosen: Chosen, gains: Mapping[str, float], mean: float) -> float:
    """The score that selects, higher is better.

    Args:
        chosen: the recipe's ``metric_for_best_model``.
        gains: every task's main score on dev, negative where lower is better.
        mean: the mean of all.
    """
    names = selecting_tasks(chosen)
    return statistics.mean(gains[name] for name in names) if names else mean


def few_rows_note(rows: Mapping[str, int], chosen: Chosen) -> str | None:
    """What to tell of a small dev split that moves a mean as much as large ones do; ``None`` if there is none.

    Args:
        rows: number of dev rows of each task that has dev.
        chosen: the recipe's ``metric_for_best_model``.
    """
    names = selecting_tasks(chosen) or tuple(rows)
    small = [name for name in names if name in rows and rows[name] < FEW_ROWS]
    large = [name for name in names if name in rows and rows[name] >= FEW_ROWS]
    if not (small and large):
        return None
    told = ", ".join(f"{name} ({rows[name]:,} dev rows)" for name in small)
    fix = f"`metric_for_best_model: [{', '.join(large)}]` leaves {'it' if len(small) == 1 else 'them'} out"
    return f"model selection weighs every task equally, and small splits are noisy: {told}; {fix}"
