"""The arms of a comparison: finished runs, or folders of such, and what each predicted."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from biomtl.custom import TaskDefinition
from biomtl.errors import InputError
from biomtl.results import FILE, Results, SplitScore
from biomtl.scoring.metrics import Metric
from biomtl.scoring.rows import Matched
from biomtl.scoring.scorer import main_metric
from biomtl.suite import Suite, TaskData, load_suite
from biomtl.tasks.task import Split
from biomtl.training.recipe_io import load_recipe

DEEPEST = 3  # levels below an arm's folder on which runs are looked for
EXACT = 1e-6  # predictions are written with six digits, which moves a correlation by less


@dataclass(frozen=True)
class ScoredRun:
    """A folder with ``metrics.json`` and predictions, written by a run or by ``evaluate``."""

    folder: Path
    results: Results

    @property
    def seed(self) -> int:
        """The run's seed; of an evaluation, that of the run that trained the model."""
        seed = self.results.provenance.get("model_seed", self.results.provenance.get("seed"))
        return seed if isinstance(seed, int) else 0

    def checksum(self, task: str, split: Split) -> Any:
        """What identifies the gold records that the task was scored on."""
        data = self.results.provenance.get("data", {})
        return data.get(task, {}).get(split) if isinstance(data, dict) else None


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: for each task the runs that scored it, which differ in their seeds.

    Attributes:
        name: its name in tables.
        runs: each task's runs, in the order of their seeds.
    """

    name: str
    runs: Mapping[str, Sequence[ScoredRun]]

    def scores(self, task: str, split: Split) -> list[SplitScore]:
        """Each run's score of a task."""
        return [run.results.tasks[task][split] for run in self.runs[task]]

    def value(self, task: str, split: Split) -> float:
        """The main metric's mean over the runs."""
        values = [score.value for score in self.scores(task, split)]
        return sum(values) / len(values)


def read_arm(text: str, split: Split) -> Arm:
    """The arm that an argument names: ``FOLDER`` or ``NAME=FOLDER``, where a folder is a run or holds runs.

    A folder's name may be a pattern, such as ``runs/seed*/joint``, for the runs in all folders that match.

    Raises:
        InputError: no scores there, none of the split, or a task whose runs have the same seed.
    """
    name, equals, rest = text.partition("=")
    if not equals or _folders(text):
        name, rest = "", text
    folders = _folders(rest) if glob.has_magic(rest) else [Path(rest)]
    if not folders:
        raise InputError("no such folder", path=rest, expected="a run, or a folder of runs")
    runs: dict[str, list[ScoredRun]] = {}
    for run in (run for folder in folders for run in scored_runs(folder)):
        for task in run.results.on(split):
            runs.setdefault(task, []).append(run)
    if not runs:
        raise InputError(f"no scores of the {split} split", path=rest, fix="choose another with --split")
    for task, own in runs.items():
        own.sort(key=lambda run: run.seed)
        for one, other in itertools.pairwise(own):
            if one.seed == other.seed:
                problem = f"{one.folder} and {other.folder} both scored {task} with seed {one.seed}"
                raise InputError(problem, path=rest, expected="one run per task and seed")
    fixed = [part for part in Path(rest).parts if not glob.has_magic(part)] if len(folders) > 1 else []
    return Arm(name or (fixed or [folders[0].resolve().name])[-1], runs)


def _folders(name: str) -> list[Path]:
    """The folder of that name, or those that match the pattern."""
    return [Path(name)] if Path(name).exists() else [Path(p) for p in sorted(glob.glob(name)) if Path(p).is_dir()]


def scored_runs(folder: Path) -> list[ScoredRun]:
    """The run in a folder, or those on the first level below it that has any.

    Raises:
        InputError: no such folder, or no scores in it.
    """
    if not folder.is_dir():
        raise InputError("no such folder", path=folder, expected="a run, or a folder of runs")
    found = next((paths for depth in range(DEEPEST + 1) if (paths := sorted(folder.glob("*/" * depth + FILE)))), [])
    if not found:
        raise InputError("no scores", path=folder, expected=f"{FILE} in it or in its folders", fix="finish the run")
    return [ScoredRun(path.parent, Results.read(path)) for path in found]


def shared_tasks(arms: Sequence[Arm], split: Split) -> list[str]:
    """The tasks that all arms have, in the first one's order; refuses those that can't be compared.

    Raises:
        InputError: no task in common; runs scored on other data or by another metric, or other numbers of runs.
    """
    tasks = [task for task in arms[0].runs if all(task in arm.runs for arm in arms)]
    if not tasks:
        have = "; ".join(f"{arm.name}: {', '.join(arm.runs)}" for arm in arms)
        raise InputError(f"no task that all of them scored ({have})", fix="compare runs of the same tasks")
    for task in tasks:
        first = arms[0].runs[task][0]
        for arm in arms:
            if len(arm.runs[task]) != len(arms[0].runs[task]):
                counts = (
                    f"{arms[0].name} has {len(arms[0].runs[task])} runs of {task}, {arm.name} {len(arm.runs[task])}"
                )
                raise InputError(counts, expected="as many in each, one per seed")
            for run in arm.runs[task]:
                refuse_unlike(first, run, task, split)
    return tasks


def refuse_unlike(first: ScoredRun, other: ScoredRun, task: str, split: Split) -> None:
    """Refuse two runs of a task whose scores can't be compared.

    Raises:
        InputError: they were scored by different metrics, or on different files.
    """
    metrics = [run.results.tasks[task][split].main for run in (first, other)]
    if metrics[0] != metrics[1]:
        problem = f"{task}: {first.folder} is scored by {metrics[0]}, {other.folder} by {metrics[1]}"
        raise InputError(problem, expected="one metric", fix="score both with the same task record")
    checksums = [run.checksum(task, split) for run in (first, other)]
    if checksums[0] != checksums[1]:
        problem = f"{task}: {first.folder} and {other.folder} were scored on other data ({split})"
        raise InputError(problem, expected="the same files", fix="evaluate both models on the same suite")


def gold_suite(arms: Sequence[Arm], tasks: Sequence[str], data: str | None) -> Suite:
    """The gold records: of ``data``, or of the first run or evaluation of the task that says where they are.

    Raises:
        InputError: no run names its data, or they can't be read.
    """
    if data is not None:
        return load_suite(data, tasks)
    return Suite([gold_of(task, [run for arm in arms for run in arm.runs[task]]) for task in tasks])


def gold_of(task: str, runs: Sequence[ScoredRun]) -> TaskData:
    """A task's data where the first recipe says that they are, or the first evaluation.

    Raises:
        InputError: none says it, or they can't be read.
    """
    own: dict[str, TaskDefinition] = {}
    if recipes := [run.folder / "recipe.yaml" for run in runs if (run.folder / "recipe.yaml").is_file()]:
        place = recipes[0]
        recipe = load_recipe(place)
        suite, own = recipe.suite, {name: given for name, given in recipe.own_tasks.items() if name == task}
    elif named := [run for run in runs if isinstance(run.results.provenance.get("suite"), str)]:
        place, suite = named[0].folder / FILE, str(named[0].results.provenance["suite"])
    else:
        problem = f"no recipe.yaml, which says where {task}'s data are"
        raise InputError(problem, path=runs[0].folder, fix="add --data SUITE")
    try:
        return load_suite(suite, [task], own)[task]
    except InputError as error:
        problem = f"the data of {task} that {place} names: {error.found}"
        raise InputError(problem, path=error.path, line=error.line, fix="add --data SUITE") from error


def matched(arm: Arm, task: str, split: Split, suite: Suite) -> tuple[Metric, list[Matched]]:
    """The task's metric, and gold and predicted values of each of the arm's runs.

    Raises:
        InputError: gold records that are not those of the scores, or predictions that don't give the score.
    """
    record, gold = suite.tasks[task], suite[task].records(split)
    found: list[Matched] = []
    for run in arm.runs[task]:
        known = run.checksum(task, split)
        if known is not None and known != suite[task].checksums.get(split):
            problem = f"{run.folder} was scored on other {split} data of {task} than those of today"
            raise InputError(problem, fix="restore the files, or evaluate the model again")
        metric, rows = main_metric(record, gold, run.folder / "predictions" / task / f"{split}.jsonl")
        score = run.results.tasks[task][split]
        value = metric.measure(rows).estimate(np.ones((1, rows.units)))
        if metric.id != score.main or abs(float(value[0]) - score.value) > EXACT:
            problem = (
                f"{task}: the predictions score {float(value[0]):.6f} ({metric.id}), {FILE} says {score.value:.6f}"
            )
            raise InputError(problem, path=run.folder, fix="evaluate the model again")
        found.append(rows)
    return metric, found
