"""Comparing runs: each task's difference from a baseline, tested on the same documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from biomtl.scoring.metrics import METRICS
from biomtl.scoring.paired import Pairing, Test, compare, holm
from biomtl.study.arms import Arm, gold_suite, matched, read_arm, shared_tasks
from biomtl.tasks.task import Split

MEAN = "mean"


@dataclass(frozen=True)
class Cell:
    """An arm's score on a task, and its test against the baseline.

    Attributes:
        value: the main metric's mean over the arm's runs.
        spread: its standard deviation over them; None for one run.
        test: the test, None for the baseline itself.
        p_holm: the test's p-value, corrected for all tests of tasks in the comparison (or of means).
        outcome: ``win``, ``loss``, or ``tie`` where the corrected p-value is not below the level.
    """

    value: float
    spread: float | None
    test: Test | None = None
    p_holm: float | None = None
    outcome: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Arms side by side.

    Attributes:
        split: the split.
        arms: the arms' names, the baseline first.
        tasks: the tasks that all have.
        left_out: tasks that only some have.
        metrics: each task's metric by its full name.
        cells: by task, then by arm; the task ``mean`` is the mean over the tasks, in which errors count as negative.
        ranks: each arm's mean rank over the tasks, 1 for the best.
        runs: runs per task and arm.
        other_seeds: arms with several runs whose seeds are not the baseline's, paired in the order of the seeds.
        resamples: of either test.
        seed: of both.
        level: below which a corrected p-value counts.
    """

    split: Split
    arms: tuple[str, ...]
    tasks: tuple[str, ...]
    left_out: tuple[str, ...]
    metrics: dict[str, str]
    cells: dict[str, dict[str, Cell]]
    ranks: dict[str, float]
    runs: int
    other_seeds: tuple[str, ...]
    resamples: int
    seed: int
    level: float

    def outcomes(self, arm: str) -> tuple[int, int, int]:
        """Wins, ties and losses of an arm over the tasks."""
        found = [self.cells[task][arm].outcome for task in self.tasks]
        return found.count("win"), found.count("tie"), found.count("loss")

    @property
    def least_p(self) -> float | None:
        """The smallest corrected p-value that resamples and documents allow, if even it doesn't count."""
        ways = min(2 ** max(self.units.values()), self.resamples + 1)  # of exchanging documents, as far as tried
        least = 2 / ways * len(self.tasks) * (len(self.arms) - 1)
        return min(1.0, least) if least >= self.level else None

    @property
    def units(self) -> dict[str, int]:
        """Each task's number of documents."""
        last = self.arms[-1]  # not the baseline, which has no test
        tests = {task: self.cells[task][last].test for task in self.tasks}
        return {task: test.units for task, test in tests.items() if test is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def compare_runs(
    runs: Sequence[str],
    split: Split = "test",
    *,
    data: str | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.05,
) -> Comparison:
    """Compare runs task by task with the first one.

    Args:
        runs: run folders, folders of runs (single-task runs, or one run per seed), or ``NAME=FOLDER``.
        split: the split that they are compared on.
        data: the suite with the gold records; default that of the runs or evaluations.
        resamples: of the bootstrap and of approximate randomisation.
        seed: of both.
        level: p-value below which a difference is a win or a loss.

    Raises:
        InputError: runs that were scored on other data or by another metric, or whose predictions are gone.
    """
    arms = [read_arm(run, split) for run in runs]
    return compare_arms(arms, split, data=data, resamples=resamples, seed=seed, level=level)


def compare_arms(
    arms: Sequence[Arm],
    split: Split,
    *,
    data: str | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.05,
) -> Comparison:
    """The same for arms at hand."""
    names = _distinct([arm.name for arm in arms])
    tasks = shared_tasks(arms, split)
    suite = gold_suite(arms, tasks, data)
    cells = {task: {n: _cell(arm, task, split) for n, arm in zip(names, arms, strict=True)} for task in tasks}
    rows = {name: {t: matched(arm, t, split, suite) for t in tasks} for name, arm in zip(names, arms, strict=True)}
    base = rows[names[0]]
    tests: dict[tuple[str, str], Test] = {}
    for name in names[1:]:
        pairings = {task: Pairing(base[task][0], base[task][1], rows[name][task][1]) for task in tasks}
        for task in tasks:
            tests[task, name] = compare({task: pairings[task]}, resamples=resamples, seed=seed)
        tests[MEAN, name] = compare(pairings, resamples=resamples, seed=seed)
    signs = {task: 1 if METRICS[arms[0].scores(task, split)[0].main].higher_is_better else -1 for task in tasks}
    cells[MEAN] = {name: Cell(float(np.mean([signs[t] * cells[t][name].value for t in tasks])), None) for name in names}
    for family in (list(tasks), [MEAN]):
        keys = [key for key in tests if key[0] in family]
        for key, corrected in zip(keys, holm([tests[key].p for key in keys]), strict=True):
            cells[key[0]][key[1]] = _tested(cells[key[0]][key[1]], tests[key], corrected, level)
    ordered = np.array([[-signs[task] * cells[task][name].value for name in names] for task in tasks])
    ranks = stats.rankdata(ordered.round(12), axis=1).mean(axis=0)
    return Comparison(
        split=split,
        arms=tuple(names),
        tasks=tuple(tasks),
        left_out=tuple(dict.fromkeys(task for arm in arms for task in arm.runs if task not in tasks)),
        metrics={task: arms[0].scores(task, split)[0].metric for task in tasks},
        cells=cells,
        ranks=dict(zip(names, map(float, ranks), strict=True)),
        runs=max(len(arms[0].runs[task]) for task in tasks),
        other_seeds=tuple(name for name, arm in zip(names, arms, strict=True) if _other_seeds(arms[0], arm, tasks)),
        resamples=resamples,
        seed=seed,
        level=level,
    )


def _other_seeds(base: Arm, other: Arm, tasks: Sequence[str]) -> bool:
    """Whether a task with several runs in each arm has other seeds in one than in the other."""
    seeds = [[[run.seed for run in arm.runs[task]] for task in tasks] for arm in (base, other)]
    return any(len(one) > 1 and one != two for one, two in zip(*seeds, strict=True))


def _cell(arm: Arm, task: str, split: Split) -> Cell:
    values = [score.value for score in arm.scores(task, split)]
    return Cell(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def _tested(cell: Cell, test: Test, corrected: float, level: float) -> Cell:
    better = "win" if test.difference > 0 else "loss"
    return Cell(cell.value, cell.spread, test, corrected, better if corrected < level else "tie")


def _distinct(names: Sequence[str]) -> list[str]:
    """The arms' names, numbered where two are the same."""
    numbered = [f"{name} ({i})" for i, name in enumerate(names, 1)]
    found = [name if list(names).count(name) == 1 else number for name, number in zip(names, numbered, strict=True)]
    return found if len(set(found)) == len(found) else numbered
