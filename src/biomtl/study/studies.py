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

from biomtl.errors import InputError
from biomtl.scoring.metrics import METRICS
from biomtl.scoring.paired import Pairing, Test, compare, holm
from biomtl.study.arms import Arm, gold_suite, matched
from biomtl.study.changes import change_of, methods_of
from biomtl.study.compare import Comparison, compare_arms
from biomtl.study.jobs import Job, arms_of, job, refuse_stages, seeds_of, write_study
from biomtl.study.plots import matrix_plot
from biomtl.study.stage_plan import plain, with_own_teachers
from biomtl.study.tables import console_table, markdown
from biomtl.study.workers import run_jobs
from biomtl.suite import load_suite
from biomtl.tasks.task import Split
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_tasks import OF_MIXTURES

FULL = "as it is"


def seeds(
    recipe: Recipe, out: Path, count: int, console: Console, *, split: Split = "dev", workers: int = 1
) -> dict[str, Any]:
    """Train a recipe with several seeds: each task's mean, standard deviation and 95 % interval of the mean (t).

    Returns:
        What ``study.json`` says of each task; of a recipe with stages, by stage.
    """
    jobs = [job("seeds", recipe, out, {"seed": seed}, split=split) for seed in seeds_of(recipe, count)]
    run_jobs(jobs, console, workers=workers)
    found = {stage: _over_seeds(arm, split) for stage in jobs[0].stages for arm in arms_of(jobs, split, stage)}
    lines: list[str] = []
    for stage, tasks in found.items():
        title = ", ".join([f"{count} seeds", *([stage] if stage else []), split])
        table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
        for heading in ("task", "mean", "sd", "95 % of the mean", "lowest", "highest"):
            table.add_column(heading, justify="left" if heading == "task" else "right", no_wrap=True)
        lines += [f"Stage `{stage}`", ""] * bool(stage)
        lines += ["| task | mean | sd | 95 % of the mean |", "| --- | --- | --- | --- |"]
        for task, v in tasks.items():
            mean, sd, interval = f"{v['mean']:.4f}", "", ""
            if count > 1:
                sd, interval = f"{v['sd']:.4f}", f"{v['low']:.4f} - {v['high']:.4f}"
            table.add_row(task, mean, sd, interval, f"{min(v['values']):.4f}", f"{max(v['values']):.4f}")
            lines.append(f"| {task} | {mean} | {sd} | {interval} |")
        lines.append("")
        console.print(table)
    known = {"tasks": found[""]} if "" in found else {"stages": found}
    write_study(out, jobs, {"split": split, **known}, {"study.md": "\n".join(lines)})
    return found.get("", found)


def _over_seeds(arm: Arm, split: Split) -> dict[str, Any]:
    """Values and mean of each task and of the mean over tasks; of several seeds also deviation and interval."""
    scores = {task: arm.scores(task, split) for task in arm.runs}
    rows = {task: [score.value for score in own] for task, own in scores.items()}
    signs = {task: 1 if METRICS[own[0].main].higher_is_better else -1 for task, own in scores.items()}
    rows["mean"] = np.mean([signs[task] * np.array(values) for task, values in rows.items()], axis=0).tolist()
    found: dict[str, Any] = {}
    for task, values in rows.items():
        count, mean = len(values), float(np.mean(values))
        found[task] = {"values": values, "mean": mean, "sd": None, "low": None, "high": None}
        if count > 1:
            sd = float(np.std(values, ddof=1))
            half = float(stats.t.ppf(0.975, count - 1)) * sd / count**0.5
            found[task] |= {"sd": sd, "low": mean - half, "high": mean + half}
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
        keys: what to change: a key to take out, ``KEY=VALUE`` to set one, and of stages ``STAGE`` to leave one out or
            ``STAGE.KEY`` for a key of its own; default every method that the recipe uses is taken out in turn. An
            option of tasks, such as ``rebalance``, is taken out of all of them.
        count: seeds of each.
        split: the split to compare on.
        workers: runs side by side.

    Returns:
        The comparison; of stages that of the last one.

    Raises:
        InputError: a key that the recipe doesn't give.
    """
    chosen = list(dict.fromkeys(keys)) or methods_of(recipe)
    if not chosen:
        raise InputError("nothing to take out: the recipe uses no method", fix="name keys with --key")
    arms = [(FULL, {}), *(change_of(recipe, key) for key in chosen)]
    jobs = [
        job(name, recipe, out, {**changes, "seed": seed}, split=split)
        for name, changes in arms
        for seed in seeds_of(recipe, count)
    ]
    for other in jobs[count::count]:
        _refuse_incomparable(jobs[0], other, split)
    run_jobs(jobs, console, workers=workers)
    by_stage = {stage: arms_of(jobs, split, stage) for stage in jobs[0].stages}
    found = {stage: compare_arms(arms, split) for stage, arms in by_stage.items() if len(arms) > 1}
    text = "\n".join(f"Stage `{stage}`\n\n{markdown(one)}" if stage else markdown(one) for stage, one in found.items())
    plain = {stage: one.to_dict() for stage, one in found.items()}
    known = {"comparison": plain[""]} if "" in plain else {"stages": plain}
    write_study(out, jobs, known, {"study.md": text})
    for stage, one in found.items():
        console.print(*([f"stage {stage}"] if stage else []), console_table(one), sep="\n")
    return list(found.values())[-1]


def _refuse_incomparable(whole: Job, other: Job, split: Split) -> None:
    """Refuse an arm that can't be compared with the whole recipe, before either is trained.

    Raises:
        InputError: no stage or no task in common, or other records to score.
    """
    if not set(whole.stages) & set(other.stages):
        raise InputError(f"{other.arm}: no stage that the recipe scores", fix="leave it out")
    first, second = (load_suite(r.suite, list(r.tasks) or None, r.own_tasks) for r in (whole.recipe, other.recipe))
    shared = [name for name in first.tasks if name in second.tasks]
    if not shared:
        raise InputError(f"{other.arm}: no task of the recipe", expected=", ".join(first.tasks))
    for name in shared:
        if first[name].checksums.get(split) != second[name].checksums.get(split):
            raise InputError(f"{other.arm}: other {split} data of {name}", expected="the same, to compare scores")


def pairwise(
    recipe: Recipe, out: Path, console: Console, *, count: int = 1, split: Split = "dev", workers: int = 1
) -> dict[str, Any]:
    """Train every task alone and every pair together: what each gains from each other one.

    Tasks see as many epochs in a pair as alone. The gains are tested like those of a comparison, corrected by Holm over
    all of them.

    Raises:
        InputError: fewer than two tasks, or a run whose length is that of a mixture.
    """
    refuse_stages(recipe, "pairwise")
    tasks = list(recipe.tasks)
    if len(tasks) < 2:
        raise InputError(f"{len(tasks)} tasks", expected="two or more under tasks", fix="list them")
    if recipe.max_steps is not None:
        raise InputError("max_steps would give a pair half of what a task gets alone", fix="give num_train_epochs")
    suite = load_suite(recipe.suite, tasks, recipe.own_tasks)
    if lacking := ", ".join(name for name in tasks if split not in suite[name]):
        raise InputError(f"no {split} split: {lacking}", path=recipe.suite, fix="leave these tasks out")
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
    alone = {task: arms[task].value(task, split) for task in tasks}
    texts = {"transfer.svg": matrix_plot(tasks, gains, sure, alone, f"Gain on {split} over the task alone")}
    texts["study.md"] = _matrix(tasks, gains, sure)
    write_study(out, jobs, {"split": split, "gains": found}, texts)
    console.print(texts["study.md"], markup=False, highlight=False)
    return found


def arms_of_pairs(tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """What `pairwise` trains: every task alone, then every pair."""
    return [(task,) for task in tasks] + list(combinations(tasks, 2))


def _of_tasks(recipe: Recipe, out: Path, names: Sequence[str], number: int, split: Split) -> Job:
    tasks = recipe.tasks
    options = {name: tasks[name].model_dump(exclude_unset=True, exclude_none=True) for name in names}
    for own in options.values():
        own.pop("mixing_weight", None)
    changes: dict[str, Any] = {"tasks": options, "seed": recipe.seed + number, "metric_for_best_model": None}
    if recipe.distill is not None:
        chosen = recipe.model_copy(update={"tasks": {name: tasks[name] for name in names}})
        changes["distill"] = plain(with_own_teachers(chosen, tasks).distill)
    if len(names) == 1:
        changes |= dict.fromkeys(OF_MIXTURES)
    elif recipe.policy == "fixed":  # of which the shares are left out
        changes["policy"] = None
    return job("+".join(names), recipe, out, changes, split=split)


def _gains(tasks: Sequence[str], arms: dict[str, Arm], split: Split) -> dict[tuple[str, str], Test]:
    """The test of each ordered pair: (task, its partner)."""
    tests = {}
    resamples = resamples_for(len(tasks) * (len(tasks) - 1))
    for first, second in combinations(tasks, 2):
        both = arms[f"{first}+{second}"]
        for task, other in ((first, second), (second, first)):
            suite = gold_suite([arms[task]], [task], None)
            metric, alone = matched(arms[task], task, split, suite)
            _, paired = matched(both, task, split, suite)
            tests[task, other] = compare({task: Pairing(metric, alone, paired)}, resamples=resamples)
    return tests


def resamples_for(tests: int) -> int:
    """So many that the smallest p-value, 2 / (resamples + 1), is still below 0.05 once corrected for all tests."""
    return max(10_000, 100 * tests)


def _matrix(tasks: Sequence[str], gains: dict[tuple[str, str], float], sure: set[tuple[str, str]]) -> str:
    lines = ["| gain of \\ from | " + " | ".join(tasks) + " |", "| --- |" + " ---: |" * len(tasks)]
    for task in tasks:
        cells = [
            "" if other == task else f"{gains[task, other]:+.3f}{'*' * ((task, other) in sure)}" for other in tasks
        ]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    note = "`*` p < 0.05 after Holm's correction (approximate randomisation over documents)"
    return "\n".join([*lines, "", note, ""])
