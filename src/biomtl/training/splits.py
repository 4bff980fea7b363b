"""The splits for training, model selection and scoring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from biomtl.errors import InputError
from biomtl.suite import Suite
from biomtl.tasks.task import Split
from biomtl.tasks.types.base import Record, type_of
from biomtl.tasks.types.regression import score_range
from biomtl.training.recipe import Recipe
from biomtl.training.selection import few_rows_note, selecting_tasks

REMEDY = "add a dev file, or set eval_strategy=no to train to the end without one"


def training_splits(recipe: Recipe) -> list[Split]:
    """The training splits; with ``train+dev``, a task without dev has only train."""
    return ["train", "dev"] if recipe.train_on == "train+dev" else ["train"]


def scored_splits(recipe: Recipe) -> list[Split]:
    """The splits that a run scores, test last."""
    wanted: dict[Split, bool] = {"dev": recipe.eval_strategy != "no", "test": recipe.predict_test}
    return [split for split, scored in wanted.items() if scored]


def check_readable(suite: Suite) -> None:
    """Whether the chosen heads and views can read the records, by the first one of each split.

    Raises:
        InputError: masked texts, but a view that needs the mentions.
    """
    for name, task in suite.tasks.items():
        for split in suite[name].files:
            for record in suite[name].records(split)[:1]:
                type_of(task).text(record, task, suite.heads[name])


def check_splits(suite: Suite, recipe: Recipe) -> list[str]:
    """Read all required data before anything is written; returns messages for the user, one line each.

    Raises:
        InputError: a broken record, a task without train, no dev for model selection, or none for the task chosen.
    """
    used = {*training_splits(recipe), *scored_splits(recipe)}
    for entry in suite.data.values():
        entry.records("train")
        for split in used.intersection(entry.files):
            entry.records(split)
    best, choosing = recipe.metric_for_best_model, recipe.eval_strategy != "no"
    for name in selecting_tasks(best):
        if name not in suite.tasks:
            raise InputError(f"metric_for_best_model {name!r}", expected="mean or one of: " + ", ".join(suite.tasks))
    without = {split: [name for name in suite.tasks if split not in suite[name]] for split in used}
    if choosing and len(without["dev"]) == len(suite.tasks):
        raise InputError(f"no dev split for model selection ({', '.join(suite.tasks)})", fix=REMEDY)
    for name in selecting_tasks(best) if choosing else ():
        if name in without["dev"]:
            fix = "name another task, or mean"
            raise InputError(f"metric_for_best_model {name!r} has no dev split", fix=fix)
    notes = []
    if choosing:
        rows = {name: len(suite[name].records("dev")) for name in suite.tasks if name not in without["dev"]}
        notes += [note] if (note := few_rows_note(rows, best)) else []
    if names := ", ".join(without.get("dev", ())):
        notes.append(
            f"no dev split: {names}; not used for model selection ({REMEDY})"
            if choosing
            else f"no dev split: {names}; trained only on train"
        )
    if names := ", ".join(without.get("test", ())):
        notes.append(f"no test split: {names}; not scored at the end")
    return notes


def training_records(suite: Suite, name: str, recipe: Recipe) -> Sequence[Record]:
    """A task's training rows: those of its splits, or a random sample of ``max_rows``."""
    data = suite[name]
    records = [record for split in training_splits(recipe) if split in data for record in data.records(split)]
    options = recipe.tasks.get(name)
    if options is None or options.max_rows is None or options.max_rows >= len(records):
        return records
    chosen = np.random.default_rng([recipe.seed, len(records)]).permutation(len(records))[: options.max_rows]
    return [records[i] for i in sorted(chosen)]


def scale_notes(suite: Suite, recipe: Recipe) -> list[str]:
    """What a joint run should know about the balance of its losses, where the recipe doesn't say it."""
    notes = []
    for name, task in suite.tasks.items():
        low, high = score_range(task)
        told = name in recipe.tasks and "loss_scale" in recipe.tasks[name].model_fields_set
        if type_of(task).answer == "score" and len(suite.tasks) > 1 and high - low != 1 and not told:
            notes.append(
                f"task {name}: its squared error is in units of the range {low:g} to {high:g}, {(high - low) ** 2:g} "
                "times smaller than that of the scores (tasks.NAME.loss_scale: range or score)"
            )
    return notes
