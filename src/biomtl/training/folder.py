"""The run folder: refused, made, or taken up again."""

from __future__ import annotations

import shutil
from pathlib import Path

from biomtl.errors import InputError
from biomtl.files import recover, refuse_existing
from biomtl.training.checkpoint import latest_checkpoint
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import dump_recipe, load_recipe

RECIPE = "recipe.yaml"
CHECKPOINTS = "checkpoints"


def check_folder(folder: Path, recipe: Recipe, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that this run may not write to; nothing is written or deleted yet.

    Raises:
        InputError: the folder exists, or is no run folder; resuming, it holds no checkpoint, a finished run, or one of
            another recipe.
    """
    stored = folder / RECIPE
    if not resume:
        refuse_existing(folder, overwrite)
        foreign = folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not stored.is_file())
        if foreign:
            raise InputError("not a run folder", path=folder, fix="choose another output; nothing was deleted")
        return
    if not stored.is_file() or latest_checkpoint(folder / CHECKPOINTS) is None:
        raise InputError("nothing to resume", path=folder, expected="a run folder with checkpoints/step-…")
    if (folder / "metrics.json").is_file():
        raise InputError("the run is finished", path=folder, fix="see metrics.json, or train anew with --overwrite")
    before = load_recipe(stored)
    changed = [key for key in Recipe.model_fields if getattr(before, key) != getattr(recipe, key)]
    if changed:
        found = f"{changed[0]} is {getattr(before, changed[0])!r}, now {getattr(recipe, changed[0])!r}"
        raise InputError(found, path=stored, fix="resume with the recipe as it was")


def open_folder(folder: Path, recipe: Recipe, *, resume: bool) -> None:
    """Make the run folder anew, or clear a folder to be resumed of what an interrupted save left behind."""
    if resume:
        for place in (folder, folder / CHECKPOINTS):
            recover(place)
        return
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / RECIPE).write_text(dump_recipe(recipe), encoding="utf-8")
