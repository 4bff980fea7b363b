"""The splits for training, model selection and scoring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from biomtl.errors import InputError
from biomtl.suite import Suite
from biomtl.tasks.task import Split
from biomtl.tasks.types.base import Record
from biomtl.training.recipe import MEAN, Recipe

REMEDY = "add a dev file, or set eval_strategy=no to train to the end without one"


def training_splits(recipe: Recipe) -> list[Split]:
    """The training splits; with ``train+dev``, a task without dev has only train."""
    return ["train", "dev"] if recipe.train_on == "train+dev" else ["train"]


def scored_splits(recipe: Recipe) -> list[Split]:
    """The splits that a run scores, test last."""
    wanted: dict[Split, bool] = {"dev": recipe.eval_strategy != "no", "test": recipe.predict_test}
    return [split for split, scored in wanted.items() if scored]


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
    if best not in (None, MEAN, *suite.tasks):
        raise InputError(f"metric_for_best_model {best!r}", expected="mean or one of: " + ", ".join(suite.tasks))
    without = {split: [name for name in suite.tasks if split not in suite[name]] for split in used}
    if choosing and len(without["dev"]) == len(suite.tasks):
        raise InputError(f"no dev split for model selection ({', '.join(suite.tasks)})", fix=REMEDY)
    if choosing and best in without["dev"]:
        fix = "name another task, or mean"
        raise InputError(f"metric_for_best_model {best!r} has no dev split", fix=fix)
    notes = []
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
