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

    @property
    def scored(self) -> dict[str, tuple[int, int]]:
        """How many tasks each part has a score for, and how many it has."""
        missing = set(self.missing)
        return {part: (len(tasks) - len(missing & set(tasks)), len(tasks)) for part, tasks in PARTS[self.suite].items()}

    @property
    def note(self) -> str:
        """The rule of the score in full; without a score, what it lacks."""
        if self.value is None:
            there, whole = (sum(counts) for counts in zip(*self.scored.values(), strict=True))
            return (
                f"no {self.suite} score: {there} of the suite's {whole} tasks have a score by their main metric; "
                f"missing: {', '.join(self.missing)}"
            )
        return (
            f"{self.suite} score: macro average, the mean over the suite's {len(self.parts)} parts of each part's mean "
            "over its tasks' main metrics"
        )


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
    """The scores of the suites in parts that several of the tasks belong to, complete or not."""
    shared = {
        suite: sum(task in values for tasks in parts.values() for task in tasks) for suite, parts in PARTS.items()
    }
    return [suite_score(suite, values) for suite, count in shared.items() if count > 1]
