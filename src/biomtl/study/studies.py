"""Studies of a recipe: over seeds, without each method, and over pairs of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from biomtl.errors import InputError, nearest
from biomtl.scoring.metrics import METRICS
from biomtl.scoring.paired import Pairing, Test, compare, holm
from biomtl.study.arms import Arm, gold_suite, matched
from biomtl.study.compare import Comparison, compare_arms
from biomtl.study.jobs import Job, arms_of, job, plain, run_jobs, write_study
from biomtl.study.plots import matrix_plot
from biomtl.study.tables import console_table, markdown
from biomtl.tasks.task import Split
from biomtl.training.methods import METHODS
from biomtl.training.recipe import Recipe

OF_MIXTURES = dict.fromkeys(("policy", "temperature", "need_sampling", "loss_balance", "gradient_aggregation"))
FULL = "as it is"


def seeds(
    recipe: Recipe, out: Path, count: int, console: Console, *, split: Split = "dev", workers: int = 1
) -> dict[str, Any]:
    """Train a recipe with several seeds: each task's mean, standard deviation and 95 % interval of the mean (t)."""
    jobs = [job("seeds", recipe, out, {"seed": recipe.seed + i}, split=split) for i in range(count)]
    run_jobs(jobs, console, workers=workers)
    [arm] = arms_of(jobs, split)
    found: dict[str, Any] = {}
    table = Table(title=f"{count} seeds, {split}", title_justify="left", show_edge=False, pad_edge=False)
    for title in ("task", "mean", "sd", "95 % of the mean", "lowest", "highest"):
        table.add_column(title, justify="left" if title == "task" else "right", no_wrap=True)
    rows = {task: [score.value for score in arm.scores(task, split)] for task in arm.runs}
    first = next(iter(arm.runs.values()))
    rows["mean"] = [run.results.mean[split] for run in first]
    for task, values in rows.items():
        mean, sd = float(np.mean(values)), float(np.std(values, ddof=1)) if count > 1 else 0.0
        half = float(stats.t.ppf(0.975, count - 1)) * sd / count**0.5 if count > 1 else 0.0
        found[task] = {"values": values, "mean": mean, "sd": sd, "low": mean - half, "high": mean + half}
        cells = (mean, sd, min(values), max(values))
        shown = [f"{cell:.4f}" for cell in cells]
        table.add_row(task, *shown[:2], f"{mean - half:.4f} - {mean + half:.4f}", *shown[2:])
    lines = ["| task | mean | sd | 95 % of the mean |", "| --- | --- | --- | --- |"]
    lines += [f"| {t} | {v['mean']:.4f} | {v['sd']:.4f} | {v['low']:.4f} - {v['high']:.4f} |" for t, v in found.items()]
    write_study(out, jobs, {"split": split, "tasks": found}, {"study.md": "\n".join(lines) + "\n"})
    console.print(table)
    return found


def ablate(
    recipe: Recipe,
    out: Path,
    console: Console,
    *,
    keys: Sequence[str] = (),
    count: int = 1,
    split: Split = "dev",
    workers: int = 1,
) -> Comparison:
    """Train a recipe as it is and without each of some keys, and compare.

    Args:
        recipe: the recipe.
        out: the study's folder.
        console: for its progress and table.
        keys: the keys to take out; default every method that the recipe uses. An option of tasks, such as
            ``rebalance``, is taken out of all of them.
        count: seeds of each.
        split: the split to compare on.
        workers: runs side by side.

    Raises:
        InputError: a key that the recipe doesn't give.
    """
    of_tasks = {option for options in recipe.tasks.values() for option in options.model_fields_set}
    used = [key for key in METHODS if getattr(recipe, key) is not None]
    chosen = list(keys) or used + ["rebalance"] * ("rebalance" in of_tasks)
    for key in chosen:
        if key in of_tasks - Recipe.model_fields.keys():
            continue
        if key not in Recipe.model_fields:
            raise InputError(f"--key {key}: no key of a recipe", fix=nearest(key, Recipe.model_fields))
        if key not in recipe.model_fields_set:
            raise InputError(f"--key {key}: the recipe doesn't give it", fix="set it, or leave it out of the study")
    if not chosen:
        raise InputError("nothing to take out: the recipe uses no method", fix="name keys with --key")
    arms = [(FULL, {}), *((f"without {key}", _without(recipe, key)) for key in chosen)]
    jobs = [
        job(name, recipe, out, {**changes, "seed": recipe.seed + i}, split=split)
        for name, changes in arms
        for i in range(count)
    ]
    run_jobs(jobs, console, workers=workers)
    found = compare_arms(arms_of(jobs, split), split)
    write_study(out, jobs, {"comparison": found.to_dict()}, {"study.md": markdown(found)})
    console.print(console_table(found))
    return found


def _without(recipe: Recipe, key: str) -> dict[str, Any]:
    """The changes that take a key out of a recipe, or an option out of its tasks."""
    if key in Recipe.model_fields:
        return {key: None}
    tasks = {name: plain(options) for name, options in recipe.tasks.items()}
    return {"tasks": {name: {k: v for k, v in options.items() if k != key} for name, options in tasks.items()}}


def pairwise(
    recipe: Recipe, out: Path, console: Console, *, count: int = 1, split: Split = "dev", workers: int = 1
) -> dict[str, Any]:
    """Train every task alone and every pair together: what each gains from each other one.

    Tasks see as many epochs in a pair as alone. The gains are tested like those of a comparison, corrected by Holm over
    all of them.

    Raises:
        InputError: fewer than two tasks, or a run whose length is that of a mixture.
    """
    tasks = list(recipe.tasks)
    if len(tasks) < 2:
        raise InputError(f"{len(tasks)} tasks", expected="two or more under tasks", fix="list them")
    if recipe.max_steps is not None:
        raise InputError("max_steps would give a pair half of what a task gets alone", fix="give num_train_epochs")
    jobs = [_of_tasks(recipe, out, names, i, split) for names in arms_of_pairs(tasks) for i in range(count)]
    run_jobs(jobs, console, workers=workers)
    arms = {arm.name: arm for arm in arms_of(jobs, split)}
    tests = _gains(tasks, arms, split)
    corrected = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
    found = {
        f"{task} with {other}": {
            "gain": test.difference,
            "low": test.low,
            "high": test.high,
            "p": test.p,
            "p_holm": corrected[task, other],
        }
        for (task, other), test in tests.items()
    }
    gains = {pair: test.difference for pair, test in tests.items()}
    sure = {pair for pair, p in corrected.items() if p < 0.05}
    texts = {"transfer.svg": matrix_plot(tasks, gains, sure, f"gain on {split} over the task alone")}
    texts["study.md"] = _matrix(tasks, gains, sure)
    write_study(out, jobs, {"split": split, "gains": found}, texts)
    console.print(texts["study.md"], markup=False, highlight=False)
    return found


def arms_of_pairs(tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """What `pairwise` trains: every task alone, then every pair."""
    return [(task,) for task in tasks] + list(combinations(tasks, 2))


def _of_tasks(recipe: Recipe, out: Path, names: Sequence[str], number: int, split: Split) -> Job:
    options = {name: recipe.tasks[name].model_dump(exclude_unset=True, exclude_none=True) for name in names}
    for own in options.values():
        own.pop("mixing_weight", None)
    changes: dict[str, Any] = {"tasks": options, "seed": recipe.seed + number, "metric_for_best_model": None}
    if len(names) == 1 or recipe.policy == "fixed":
        changes |= OF_MIXTURES
    return job("+".join(names), recipe, out, changes, split=split)


def _gains(tasks: Sequence[str], arms: dict[str, Arm], split: Split) -> dict[tuple[str, str], Test]:
    """The test of each ordered pair: (task, its partner)."""
    tests = {}
    for first, second in combinations(tasks, 2):
        both = arms[f"{first}+{second}"]
        for task, other in ((first, second), (second, first)):
            suite = gold_suite([arms[task]], [task], None)
            metric, alone = matched(arms[task], task, split, suite)
            _, paired = matched(both, task, split, suite)
            assert metric.id in METRICS
            tests[task, other] = compare({task: Pairing(metric, alone, paired)}, resamples=2000)
    return tests


def _matrix(tasks: Sequence[str], gains: dict[tuple[str, str], float], sure: set[tuple[str, str]]) -> str:
    lines = ["| gain of \\ from | " + " | ".join(tasks) + " |", "| --- |" + " ---: |" * len(tasks)]
    for task in tasks:
        cells = [
            "" if other == task else f"{gains[task, other]:+.3f}{'*' * ((task, other) in sure)}" for other in tasks
        ]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "* p < 0.05 after Holm's correction (approximate randomisation over documents)", ""])
