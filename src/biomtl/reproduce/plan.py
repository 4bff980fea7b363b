"""From a paper's record to runs: its recipe with the user's keys, and every run with its tasks and epochs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from biomtl.errors import InputError
from biomtl.reproduce.paper import Paper, Variant, get_paper, get_variant
from biomtl.study.published import systems
from biomtl.study.stage_plan import plan_stages
from biomtl.study.studies import arms_of_pairs
from biomtl.tasks.registry import get_task
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import load_recipe
from biomtl.training.stage import Stage

OWN = ("encoder", "suite", "num_threads", "activations_folder", "activations_gb", "report_to")
"""Keys that a user brings, and those that change no score: not counted as changes of the paper's protocol."""
FIXED = {"output": "--out", "group": "--group", "tasks": "--tasks"}
"""Keys that have options of their own."""


@dataclass(frozen=True)
class Reproduction:
    """What is about to be run.

    Attributes:
        name: of the paper's record.
        group: its variant.
        paper: the record.
        variant: its variant's record.
        recipe: the recipe of all runs, or the one that pairs are made of.
        out: the folder for everything.
        changed: keys that the user set otherwise than the paper.
        left_out: tasks of the paper that are not run.
        systems: the published systems whose scores are expected; empty if the encoder is another one.
    """

    name: str
    group: str
    paper: Paper
    variant: Variant
    recipe: Recipe
    out: Path
    changed: tuple[str, ...]
    left_out: tuple[str, ...]
    systems: tuple[str, ...]

    @property
    def place(self) -> Path:
        """Where the runs are."""
        return self.out / ("study" if self.paper.study == "pairs" else "runs")

    @property
    def command(self) -> str:
        """The first words of the command."""
        return f"biomtl reproduce {self.name}" + (f" --group {self.group}" if len(self.paper.variants) > 1 else "")


@dataclass(frozen=True)
class PlannedRun:
    """One run.

    Attributes:
        label: its stage and task, or the tasks of a pair.
        tasks: the tasks that it trains.
        epochs: over their rows.
        finished: whether it is there already.
    """

    label: str
    tasks: tuple[str, ...]
    epochs: int
    finished: bool


def plan(
    name: str,
    out: Path,
    overrides: Sequence[str] = (),
    *,
    group: str | None = None,
    tasks: Sequence[str] = (),
    system: str | None = None,
) -> Reproduction:
    """The paper's recipe with the user's keys, for the chosen tasks.

    Args:
        name: of the paper's record.
        out: the folder for everything.
        overrides: ``key=value`` for the recipe.
        group: a variant of the paper.
        tasks: only these tasks.
        system: the published system that the encoder belongs to.

    Raises:
        InputError: an unknown paper, group, task or system; keys that contradict each other.
    """
    paper, variant = get_paper(name), get_variant(name, group)
    for override in overrides:
        if (key := override.partition("=")[0]) in FIXED:
            raise InputError(f"override {override!r}", fix=f"use {FIXED[key]}")
    own = [f"{key}={json.dumps(value)}" for key, value in {**paper.keys, **variant.keys}.items()]
    whole = load_recipe(paper.recipe, [*own, *overrides, f"output={json.dumps(str(out / 'runs'))}"])
    recipe = with_baseline(only_tasks(whole, tasks), paper)
    _refuse_other_stages(recipe, paper, own)
    chosen = tuple(override for override in overrides if override.partition("=")[0] not in OWN)
    encoder = systems_of(paper, variant, recipe, system)
    left_out = tuple(task for task in whole.tasks if task not in recipe.tasks)
    return Reproduction(name, group or "all", paper, variant, recipe, out, chosen, left_out, encoder)


def planned_runs(reproduction: Reproduction) -> Iterator[PlannedRun]:
    """Every run in order; finished ones of an earlier call are marked."""
    recipe = reproduction.recipe
    if reproduction.paper.study == "pairs":
        for names in arms_of_pairs(list(recipe.tasks)):
            yield PlannedRun(" + ".join(names), names, recipe.num_train_epochs or 0, False)
        return
    for run in plan_stages(recipe):
        label = run.stage if run.task is None else f"{run.stage}: {run.task}"
        yield PlannedRun(label, tuple(run.recipe.tasks), run.recipe.num_train_epochs or 0, run.finished)


def only_tasks(recipe: Recipe, names: Sequence[str]) -> Recipe:
    """The recipe with these tasks alone, in its stages too.

    Raises:
        InputError: a task that it doesn't have.
    """
    chosen = [get_task(name).name for name in names]
    for name in chosen:
        if name not in recipe.tasks:
            raise InputError(f"--tasks: {name}", expected=f"some of: {', '.join(recipe.tasks)}")
    if not chosen:
        return recipe
    stages = []
    for stage in recipe.stages:
        keys = dict(stage.keys)
        if isinstance(listed := keys.get("tasks"), list):
            keys["tasks"] = [task for task in listed if task in chosen]
            if not keys["tasks"]:
                problem = f"--tasks: {', '.join(chosen)}, of which the stage {stage.name} trains none"
                raise InputError(problem, expected=f"some of: {', '.join(listed)}")
        by_task = {task: values for task, values in stage.by_task.items() if task in chosen}
        stages.append(stage.model_copy(update={"keys": keys, "by_task": by_task}))
    tasks = {task: options for task, options in recipe.tasks.items() if task in chosen}
    return recipe.model_copy(update={"tasks": tasks, "stages": tuple(stages)})


def _refuse_other_stages(recipe: Recipe, paper: Paper, own: Sequence[str]) -> None:
    """The user may change the stages' keys, but which there are is the paper's."""
    wanted = [stage.name for stage in with_baseline(load_recipe(paper.recipe, own), paper).stages]
    if (given := [stage.name for stage in recipe.stages]) != wanted:
        problem = f"stages: {', '.join(given) or 'none'}"
        raise InputError(problem, expected=", ".join(wanted) or "none", fix="train another protocol with biomtl train")


def with_baseline(recipe: Recipe, paper: Paper) -> Recipe:
    """The recipe with single-task runs first, trained like the stage that the paper compares them with."""
    like = next((stage for stage in recipe.stages if stage.name == paper.alone_as), None)
    if like is None or any(stage.name == "alone" for stage in recipe.stages):
        return recipe
    keys = {key: value for key, value in like.keys.items() if key != "heads"}
    alone = Stage(name="alone", keys=keys, by_task=like.by_task)
    return recipe.model_copy(update={"stages": (alone, *recipe.stages)})


def systems_of(paper: Paper, variant: Variant, recipe: Recipe, system: str | None) -> tuple[str, ...]:
    """The published systems that the encoder belongs to; the paper's own for a folder, unless any encoder will do.

    Raises:
        InputError: no score of the named system is published for the tasks.
    """
    if system is not None:
        if system not in (known := systems(recipe.tasks)):
            raise InputError(f"--system {system!r}", expected=f"one of: {', '.join(known)}")
        return (system,)
    if recipe.encoder in variant.systems:
        return variant.systems[recipe.encoder]
    if paper.any_encoder:
        return ()
    return next(iter(variant.systems.values()), ())
