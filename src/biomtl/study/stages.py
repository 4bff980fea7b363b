"""Stages of one recipe: adapt the encoder, train tasks alone, train them together, refine each; then one table.

Every stage is an ordinary run (or one per task) in a folder of its own below the recipe's output, so that each can be
resumed, looked at and used like any other. A finished one is never trained again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from biomtl.errors import InputError
from biomtl.heads.named import set_loss
from biomtl.model import MultiTaskModel
from biomtl.report.console import table_console
from biomtl.results import FILE, Results
from biomtl.storage.files import atomic_file, refuse_existing, write_json
from biomtl.storage.structured import read_json
from biomtl.study.best import best_on_dev, sentence
from biomtl.study.compare import compare_runs
from biomtl.study.stage_plan import FINAL, StageRun, plan_stages, teacher_folders
from biomtl.study.tables import console_table, markdown
from biomtl.suite import Suite, load_suite
from biomtl.tasks.task import Split
from biomtl.training.accelerator import make_accelerator, on_main_process
from biomtl.training.adapt import adapt, adaptation_texts
from biomtl.training.assemble import assemble, same_place, with_task_names
from biomtl.training.folder import INCIDENTAL, RECIPE, discard_progress, in_use, interrupted, is_finished
from biomtl.training.methods.distill import students
from biomtl.training.optimiser import configure
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import dump_recipe, load_recipe, make_recipe
from biomtl.training.run import Run
from biomtl.training.run import train as train_run
from biomtl.training.splits import check_readable, check_splits
from biomtl.training.teaching import teachers_of

COMPARISON = "comparison"
OLD = "old-runs.json"
"""Names the runs that are still to be replaced."""


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
    _check_data(recipe, [run for run in runs if overwrite or not run.finished])
    on_main_process(accelerator, lambda: _claim(folder, recipe, runs, resume=resume, overwrite=overwrite))
    old = on_main_process(accelerator, lambda: _old(folder))
    for run in runs:
        if run.finished and run.label not in old:
            continue
        if accelerator.is_main_process:
            console.print(f"stage {run.label}", markup=False)
        begun = on_main_process(accelerator, partial(interrupted, run.folder)) is not None
        options: dict[str, Any] = {"resume": begun, "overwrite": not begun, "console": console}
        if run.stage == "adapt":
            adapt(run.recipe, **options)
        else:
            train(run.recipe, **options, command=command)
        old = [label for label in old if label != run.label]
        on_main_process(accelerator, partial(_keep_in_mind, folder, old))
    on_main_process(accelerator, lambda: _compare(folder, recipe, runs, console))
    return folder


def stages_finished(recipe: Recipe) -> bool:
    """Whether every run of the stages is finished, and so is their table."""
    folder, runs = Path(recipe.output), list(plan_stages(recipe))
    if _old(folder) or not all(run.finished for run in runs):
        return False
    return (folder / f"{COMPARISON}.md").is_file() or _compared(recipe, runs) is None


def _check_data(recipe: Recipe, runs: Sequence[StageRun]) -> None:
    """Find what is wrong with a late stage's data and teachers before the first one trains for hours."""
    suite = load_suite(recipe.suite, list(recipe.tasks), recipe.own_tasks)
    check_readable(suite.with_options(with_task_names(recipe, suite).tasks))
    later = {folder for task in recipe.tasks for folder in teacher_folders(recipe, task)}
    for run in runs:
        try:
            own = with_task_names(run.recipe, suite)
            if run.stage == "adapt":
                if run.recipe.adapt is not None and run.recipe.adapt.corpus is not None:
                    adaptation_texts(suite, run.recipe, run.recipe.adapt)
                continue
            data = suite.only(own.tasks)
            check_splits(data, own)
            taught: Collection[str] = ()
            if own.distill is not None:
                given = own.distill.teachers.items()
                there = {task: tuple(name for name in names if name not in later) for task, names in given}
                kept = {"teachers": {task: names for task, names in there.items() if names}}
                found = teachers_of(own.distill.model_copy(update=kept), data.tasks)
                taught = found.keys() | {task for task, names in given if later.intersection(names)}
            if run.scores:
                _check_methods(recipe, own, data, taught)
        except InputError as error:
            problem = f"stage {run.label}: {error.found}"
            where, expected = error.path, error.expected
            raise InputError(problem, path=where, line=error.line, expected=expected, fix=error.fix) from error


def _check_methods(recipe: Recipe, own: Recipe, data: Suite, taught: Collection[str]) -> None:
    """Whether the methods of a run suit its heads, over the encoder that the first stage starts from."""
    now = {key: getattr(recipe, key) for key in ("encoder", "heads", "num_hidden_layers")} | {"distill": None}
    own, _, model = assemble(own.model_copy(update=now), suite=data)
    for name, options in own.tasks.items():
        set_loss(model.tasks[name], model.head(name), options.loss, options.divergence)
    configure(model, own)
    students(taught, model)


def _claim(folder: Path, recipe: Recipe, runs: Sequence[StageRun], *, resume: bool, overwrite: bool) -> None:
    path = folder / RECIPE
    if path.is_file() and not overwrite:
        if not resume:
            fix = "go on with --resume, or add --overwrite"
            raise InputError("the output already exists", path=folder, fix=fix)
        before = load_recipe(path)
        keys = [key for key in Recipe.model_fields if not same_place(getattr(before, key), getattr(recipe, key))]
        if differing := ", ".join(key for key in keys if key not in INCIDENTAL):
            raise InputError(f"another recipe ({differing})", path=path, fix="resume with the recipe as it was")
        return
    if not path.is_file() and resume:
        raise InputError("nothing to resume", path=folder, expected=f"{RECIPE} of an earlier call")
    if not path.is_file():
        refuse_existing(folder, False, output="run", inputs=(recipe.encoder, recipe.suite))
    if busy := next((run.folder for run in runs if in_use(run.folder)), None):
        raise InputError("another process is training in this folder", path=busy, fix="wait until it ends")
    folder.mkdir(parents=True, exist_ok=True)
    _keep_in_mind(folder, [run.label for run in runs if run.finished])
    for run in runs:
        discard_progress(run.folder)
    with atomic_file(path) as stream:
        stream.write(dump_recipe(recipe))


def _old(folder: Path) -> list[str]:
    """The finished runs that are older than the recipe, which ``--overwrite`` trains anew."""
    path = folder / OLD
    return list(read_json(path, "names of runs")["runs"]) if path.is_file() else []


def _keep_in_mind(folder: Path, old: Sequence[str]) -> None:
    if old:
        write_json(folder / OLD, {"runs": list(old)})
    else:
        (folder / OLD).unlink(missing_ok=True)


def _compared(recipe: Recipe, runs: Sequence[StageRun]) -> tuple[Split, list[str]] | None:
    """The split on which two stages or more were scored, test if there is a choice, and these stages."""
    splits: list[Split] = ["test", "dev"] if recipe.predict_test else ["dev"]
    for split in splits:
        scored = {run.stage for run in runs if run.scores and run.stage in FINAL and _scores(run, split)}
        if len(scored) > 1:
            return split, [name for name in FINAL if name in scored]
    return None


def _scores(run: StageRun, split: Split) -> bool:
    return bool(Results.read(run.folder / FILE).on(split))


def _compare(folder: Path, recipe: Recipe, runs: Sequence[StageRun], console: Console) -> None:
    """One table of the stages that score tasks, the first of them as the baseline."""
    chosen = _compared(recipe, runs)
    if chosen is None:
        for suffix in (".json", ".md"):  # an older recipe's
            (folder / f"{COMPARISON}{suffix}").unlink(missing_ok=True)
        return
    split, stages = chosen
    for name in dict.fromkeys(run.stage for run in runs if run.stage in FINAL and run.stage not in stages):
        console.print(f"stage {name}: not in the table, as it isn't scored on {split}", markup=False)
    found = compare_runs([str(folder / name) for name in stages], split)
    best = best_on_dev(runs)
    content = {**found.to_dict(), "best_on_dev": {task: asdict(one) for task, one in best.items()}}
    choice = [sentence(best)] if best else []  # stages that train on dev, too, aren't scored there
    page = markdown(found) + "".join(f"- {line}\n" for line in choice)
    texts = {".json": json.dumps(content, indent=2) + "\n", ".md": page}
    for suffix, text in texts.items():
        with atomic_file(folder / f"{COMPARISON}{suffix}") as stream:
            stream.write(text)
    console.print(console_table(found))
    for line in choice:
        console.print(line, markup=False, highlight=False)
