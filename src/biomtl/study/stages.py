"""Stages of one recipe: adapt the encoder, train tasks alone, train them together, refine each; then one table.

Every stage is an ordinary run (or one per task) in a folder of its own below the recipe's output, so that each can be
resumed, looked at and used like any other. A finished one is never trained again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.report.console import table_console
from biomtl.results import FILE, Results
from biomtl.storage.files import atomic_file, refuse_existing
from biomtl.study.compare import compare_runs
from biomtl.study.stage_plan import FINAL, StageRun, plan_stages, teacher_folders
from biomtl.study.tables import console_table, markdown
from biomtl.suite import Suite, load_suite
from biomtl.tasks.task import Split
from biomtl.training.accelerator import make_accelerator, on_main_process
from biomtl.training.adapt import adapt
from biomtl.training.assemble import with_task_names
from biomtl.training.checkpoint import latest_checkpoint
from biomtl.training.folder import CHECKPOINTS, RECIPE, is_finished
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import dump_recipe, load_recipe, make_recipe
from biomtl.training.run import Run
from biomtl.training.run import train as train_run
from biomtl.training.splits import check_readable
from biomtl.training.teaching import teachers_of

COMPARISON = "comparison"


def train(
    recipe: Recipe | Mapping[str, Any] | str | Path,
    *positional: Any,
    model: MultiTaskModel | None = None,
    suite: Suite | None = None,
    resume: bool = False,
    overwrite: bool = False,
    command: str | None = None,
    console: Console | None = None,
) -> Run:
    """Train according to a recipe, in stages if it has any (see `train_stages`), else as one run.

    Args:
        recipe: a recipe, its keys, or its YAML file.
        model: for one run, a model to train instead of one built from the recipe.
        suite: for one run, data to use instead of the recipe's.
        positional: not allowed; the error for the old call shows the new one.
        resume: go on where an interrupted call ended.
        overwrite: replace an existing run.
        command: the command line, for the provenance.
        console: the console for tables.

    Returns:
        The run; of stages, the folder of all, with model and scores of the last one that trains tasks together.

    Raises:
        InputError: see `biomtl.training.run.train`.
    """
    if not isinstance(recipe, Recipe) and not positional:
        recipe = make_recipe(recipe) if isinstance(recipe, Mapping) else load_recipe(recipe)
    options: dict[str, Any] = {"resume": resume, "overwrite": overwrite, "command": command, "console": console}
    if positional or not isinstance(recipe, Recipe) or not recipe.stages:
        return train_run(recipe, *positional, model=model, suite=suite, **options)
    if model is not None or suite is not None:
        raise InputError("stages with a model or suite that is passed in", fix="name encoder and suite in the recipe")
    folder = train_stages(recipe, **options)
    joint = folder / "joint"
    if not is_finished(joint):
        return Run(folder, None, MultiTaskModel.from_pretrained(folder / "alone" / next(iter(recipe.tasks))))
    return Run(folder, Results.read(joint / FILE), MultiTaskModel.from_pretrained(joint))


def train_stages(
    recipe: Recipe,
    *,
    resume: bool = False,
    overwrite: bool = False,
    command: str | None = None,
    console: Console | None = None,
    train: Callable[..., Any] = train_run,
) -> Path:
    """Train all stages of a recipe, and write one table of their scores.

    Args:
        recipe: a recipe with ``stages``.
        resume: go on where an earlier call ended: finished runs are kept, an interrupted one is continued.
        overwrite: train all stages anew.
        command: the command line, for the provenance.
        console: the console for tables.
        train: trains one run.

    Returns:
        The folder with the stages' folders, ``comparison.json`` and ``comparison.md``.

    Raises:
        InputError: stages that contradict each other, or a folder that is there already.
    """
    console = console or table_console()
    runs = list(plan_stages(recipe))
    folder = Path(recipe.output)
    accelerator = make_accelerator(recipe)
    for run in runs:
        make_accelerator(run.recipe)  # refuses now what a late stage can't do with these processes
    _check_data(recipe, runs)
    on_main_process(accelerator, lambda: _claim(folder, recipe, resume=resume, overwrite=overwrite))
    for run in runs:
        if run.finished and not overwrite:
            continue
        if accelerator.is_main_process:
            console.print(f"stage {run.label}", markup=False)
        begun = not overwrite and latest_checkpoint(run.folder / CHECKPOINTS) is not None
        options: dict[str, Any] = {"resume": begun, "overwrite": not begun, "console": console}
        if run.stage == "adapt":
            adapt(run.recipe, **options)
        else:
            train(run.recipe, **options, command=command)
    on_main_process(accelerator, lambda: _compare(folder, recipe, [run.stage for run in runs], console))
    return folder


def stages_finished(recipe: Recipe) -> bool:
    """Whether every run of the stages is finished, and so is their table."""
    folder = Path(recipe.output)
    scoring = [stage.name for stage in recipe.stages if stage.name in FINAL]
    compared = len(scoring) < 2 or (folder / f"{COMPARISON}.md").is_file()
    return compared and all(run.finished for run in plan_stages(recipe))


def _check_data(recipe: Recipe, runs: Sequence[StageRun]) -> None:
    """Find what is wrong with a late stage's data and teachers before the first one trains for hours."""
    suite = load_suite(recipe.suite, list(recipe.tasks), recipe.own_tasks)
    check_readable(suite.with_options(with_task_names(recipe, suite).tasks))
    later = {folder for task in recipe.tasks for folder in teacher_folders(recipe, task)}
    for run in runs:
        named = with_task_names(run.recipe, suite)
        if named.distill is not None and not run.finished and later.isdisjoint(*named.distill.teachers.values()):
            teachers_of(named.distill, suite.only(named.tasks).tasks)


def _claim(folder: Path, recipe: Recipe, *, resume: bool, overwrite: bool) -> None:
    path = folder / RECIPE
    if path.is_file() and not overwrite:
        if not resume:
            fix = "go on with --resume, or add --overwrite"
            raise InputError("the output already exists", path=folder, fix=fix)
        if load_recipe(path) != recipe:
            raise InputError("another recipe", path=path, fix="resume with the recipe as it was")
        return
    if not path.is_file() and resume:
        raise InputError("nothing to resume", path=folder, expected=f"{RECIPE} of an earlier call")
    if not path.is_file():
        refuse_existing(folder, False, output="run", inputs=(recipe.encoder, recipe.suite))
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as stream:
        stream.write(dump_recipe(recipe))


def _compare(folder: Path, recipe: Recipe, stages: Sequence[str], console: Console) -> None:
    """One table of the stages that score tasks, the first of them as the baseline."""
    arms = [str(folder / name) for name in FINAL if name in stages]
    if len(arms) < 2:
        return
    split: Split = "test" if recipe.predict_test else "dev"
    found = compare_runs(arms, split)
    for suffix, text in ((".json", json.dumps(found.to_dict(), indent=2) + "\n"), (".md", markdown(found))):
        with atomic_file(folder / f"{COMPARISON}{suffix}") as stream:
            stream.write(text)
    console.print(console_table(found))
