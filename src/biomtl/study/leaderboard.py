"""Runs beside published scores, each column one metric on one test split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from biomtl.errors import InputError
from biomtl.study.arms import Arm, read_arm, refuse_unlike
from biomtl.study.published import SPLIT, Column, columns, deviations, protocol, systems
from biomtl.tasks.registry import get_task


@dataclass(frozen=True)
class Entry:
    """A system's score in a column.

    Attributes:
        system: its name.
        value: the score x100, of several runs their mean.
        sd: their standard deviation, x100; None for one run.
        ours: whether it is a run given by the user.
        source: where it was published; of a run, its folder.
        remarks: where protocol or data differ from one run on the benchmark's train split.
    """

    system: str
    value: float
    sd: float | None
    ours: bool
    source: str
    remarks: str


@dataclass(frozen=True)
class Place:
    """A column with its entries, the best first."""

    task: str
    metric: str
    title: str
    main: bool
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Board:
    """Systems by column.

    Attributes:
        columns: the columns in the order of tasks; a task's main column is the one with the benchmark's own metric.
        systems: every system, the published ones in the order of the records, then the runs.
        means: each system's mean over the main columns, for those with a score in all of them.
        left_out: tasks of the runs that no published score is known for.
    """

    columns: tuple[Place, ...]
    systems: tuple[str, ...]
    means: dict[str, float]
    left_out: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"split": SPLIT, **asdict(self)}


def leaderboard(runs: Sequence[str], tasks: Sequence[str] = ()) -> Board:
    """The runs' test scores beside the published ones.

    Args:
        runs: run folders, folders of runs (single-task runs, or one per seed), or ``NAME=FOLDER``; none shows what is
            published.
        tasks: only these tasks; default all that a run has, or the benchmark's for no run.

    Raises:
        InputError: a run that was scored by another metric or on other data than a column says, or runs that were
            scored on different files.
    """
    arms = [read_arm(run, SPLIT) for run in runs]
    chosen = [get_task(task).name for task in tasks] or list(dict.fromkeys(task for arm in arms for task in arm.runs))
    for task in tasks:
        if arms and not any(get_task(task).name in arm.runs for arm in arms):
            raise InputError(f"no run scored {get_task(task).name}", fix="leave it out of --tasks")
    places = [_place(column, i == 0, arms) for task in chosen for i, column in enumerate(columns(task))]
    if not places:
        problem = f"no published score of {', '.join(chosen)}" if chosen else "no run and no task"
        raise InputError(problem, fix="give runs of benchmark tasks, or name tasks with --tasks")
    _refuse_same_names([*systems(chosen), *(arm.name for arm in arms)])
    return Board(
        columns=tuple(places),
        systems=(*systems(chosen), *(arm.name for arm in arms)),
        means=_means(places),
        left_out=tuple(task for task in chosen if not columns(task)),
    )


def _place(column: Column, main: bool, arms: Sequence[Arm]) -> Place:
    entries = [Entry(e.system, e.value, e.sd, False, e.source, e.remarks) for e in column.published]
    having = [arm for arm in arms if column.task.name in arm.runs]
    entries += [_entry(column, arm, having[0]) for arm in having]
    entries.sort(key=lambda entry: -entry.value)
    return Place(column.task.name, column.metric, column.title, main, tuple(entries))


def _entry(column: Column, arm: Arm, first: Arm) -> Entry:
    """An arm's score in a column, if it belongs there."""
    task, values = column.task.name, []
    remarks: dict[str, None] = {}
    for run in arm.runs[task]:
        score = run.results.tasks[task][SPLIT]
        other, near = deviations(column.task, score)
        if other:
            problem = f"{task}: scored on other data than the published ones ({'; '.join(other)})"
            raise InputError(problem, path=run.folder, fix="evaluate it on the benchmark's test split, or leave it out")
        if (value := column.value(score)) is None:
            problem = f"{task}: scored by {', '.join(score.metrics)}, but the column is {column.metric}"
            raise InputError(problem, path=run.folder, fix="score it with the benchmark's task record, or leave it out")
        refuse_unlike(first.runs[task][0], run, task, SPLIT)
        values.append(value)
        remarks |= dict.fromkeys([*protocol(run, task), *near])
    if len(values) > 1:
        remarks[f"mean of {len(values)} runs"] = None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Entry(arm.name, float(np.mean(values)), sd, True, str(arm.runs[task][0].folder), "; ".join(remarks))


def _refuse_same_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two systems named {name!r}", fix="give the run another name: NAME=FOLDER")


def _means(places: Sequence[Place]) -> dict[str, float]:
    main = [{entry.system: entry.value for entry in place.entries} for place in places if place.main]
    if len(main) < 2:
        return {}
    shared = [name for name in main[0] if all(name in column for column in main)]
    return {name: float(np.mean([column[name] for column in main])) for name in shared}
