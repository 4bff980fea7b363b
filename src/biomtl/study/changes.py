"""What an ablation changes of a recipe: keys, stages, and keys of stages, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from biomtl.errors import InputError, nearest
from biomtl.study.stage_plan import plain, taught_alone
from biomtl.training.methods import METHODS
from biomtl.training.recipe import Recipe
from biomtl.training.stage import NOT_OF_RUNS, Stage

TAKEN_OUT = (*METHODS, "lora", "frozen_layers")
OF_TASKS = ("rebalance", "adapter", "lora")  # methods that are options of tasks
NOT_CHANGED = ("seed", "output", "predict_test", "tune")
Change = tuple[str, dict[str, Any]]
"""An arm's name, and the keys of the recipe that are other in it, ``None`` for one that is taken out."""


def methods_of(recipe: Recipe) -> list[str]:
    """The methods that a recipe uses, of its stages too, and its stage ``adapt``: what an ablation takes out."""
    own = [key for key in TAKEN_OUT if getattr(recipe, key) is not None]
    names = {stage.name for stage in recipe.stages}
    inside = [f"{stage.name}.{key}" for stage in recipe.stages for key in TAKEN_OUT if key in stage.keys]
    of_tasks = [f"tasks.{key}" if key in TAKEN_OUT else key for key in OF_TASKS if key in _of_tasks(recipe)]
    return [*["adapt"] * ("adapt" in names), *own, *of_tasks, *inside]


def change_of(recipe: Recipe, said: str) -> Change:
    """The arm of ``KEY``, ``KEY=VALUE``, ``STAGE``, ``STAGE.KEY`` or ``STAGE.KEY=VALUE``.

    A key that only tasks have is taken out of all of them; so is ``tasks.KEY``, for those that a recipe has, too.

    Where nobody is left to be taught, single-task models have no further seeds.

    Raises:
        InputError: no such key or stage, or one that the recipe doesn't give.
    """
    label, changes = _change(recipe, said)
    if max((stage.seeds for stage in recipe.stages), default=1) == 1 or said.partition("=")[0] == "stages":
        return label, changes
    stages = changes.get("stages", [stage.model_dump(exclude_unset=True) for stage in recipe.stages])
    given = changes.get("distill", plain(recipe.distill)), *(stage.get("keys", {}).get("distill") for stage in stages)
    if any(map(taught_alone, given)):
        return label, changes
    return label, {**changes, "stages": [{k: v for k, v in stage.items() if k != "seeds"} for stage in stages]}


def _change(recipe: Recipe, said: str) -> Change:
    key, sets, text = said.partition("=")
    value = _value(said, text) if sets else None
    label = f"with {said}" if sets else f"without {key}"
    stages = {stage.name: stage for stage in recipe.stages}
    name, _, inner = key.partition(".")
    if name in stages and (inner or not sets):
        idle = {"adapt": None} if key == "adapt" else {}  # the options of a stage that is left out
        return label, {"stages": _stages(recipe, stages[name], inner, value), **idle}
    option = inner if name == "tasks" else key
    if option in _of_tasks(recipe) - (set() if name == "tasks" else Recipe.model_fields.keys()) and not sets:
        tasks = {name: plain(options) for name, options in recipe.tasks.items()}
        return label, {"tasks": {n: {k: v for k, v in own.items() if k != option} for n, own in tasks.items()}}
    if key in NOT_CHANGED:
        raise InputError(f"--key {key}: the study itself decides it", fix="leave it out")
    if key not in Recipe.model_fields:
        raise InputError(f"--key {key}: no key of a recipe", fix=nearest(key, [*Recipe.model_fields, *stages]))
    if not sets and key not in recipe.model_fields_set:
        raise InputError(f"--key {key}: the recipe doesn't give it", fix="set it, or leave it out of the study")
    return label, {key: value}


def _of_tasks(recipe: Recipe) -> set[str]:
    """The options that any task is given."""
    given = ((options, key) for options in recipe.tasks.values() for key in options.model_fields_set)
    return {key for options, key in given if getattr(options, key) is not None}


def _value(said: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--key {said}: the value is not YAML") from error


def _stages(recipe: Recipe, stage: Stage, inner: str, value: Any) -> list[Mapping[str, Any]]:
    """The stages without one, or with a key of one changed."""
    if not inner:
        return [other.model_dump() for other in recipe.stages if other.name != stage.name]
    changed = stage.model_dump(exclude_unset=True)
    place = changed if inner in NOT_OF_RUNS else changed.setdefault("keys", {})
    if value is None and inner not in place:
        raise InputError(f"--key {stage.name}.{inner}: the stage doesn't give it", fix="leave it out of the study")
    place.pop(inner, None)
    place |= {} if value is None else {inner: value}
    return [changed if other.name == stage.name else other.model_dump() for other in recipe.stages]
