"""The score of a suite in parts, such as BLURB's: the mean over the parts of the mean of each part's tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from biomtl.errors import InputError
from biomtl.tasks.registry import PARTS


@dataclass(frozen=True)
class SuiteScore:
    """A suite's score and those of its parts, as fractions of 1.

    ``value`` is None if a task of the suite has no score. ``parts`` has the means of the parts with all of their tasks,
    in the suite's order; ``missing`` the tasks without a score.
    """

    suite: str
    value: float | None
    parts: Mapping[str, float]
    missing: tuple[str, ...] = ()


def suite_score(suite: str, values: Mapping[str, float]) -> SuiteScore:
    """The score of a suite from its tasks' main metrics.

    Each part weighs the same, however many tasks it has (Gu et al. 2021, arXiv 2007.15779).

    Raises:
        InputError: not a suite in parts.
    """
    if suite not in PARTS:
        raise InputError(f"suite {suite!r} has no score of its own", expected=f"one of: {', '.join(PARTS)}")
    parts = {
        part: sum(values[task] for task in tasks) / len(tasks)
        for part, tasks in PARTS[suite].items()
        if all(task in values for task in tasks)
    }
    missing = tuple(task for tasks in PARTS[suite].values() for task in tasks if task not in values)
    return SuiteScore(suite, None if missing else sum(parts.values()) / len(parts), parts, missing)


def suite_scores(values: Mapping[str, float]) -> list[SuiteScore]:
    """The scores of all suites in parts whose every task has a value."""
    scores = (suite_score(suite, values) for suite in PARTS)
    return [score for score in scores if not score.missing]
