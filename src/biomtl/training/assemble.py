"""From a recipe to a run's suite and model, and the recipe that describes them.

A model or suite that is passed in is written into the recipe, so that the record of a run is true; one that contradicts
a given key is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from biomtl.encoders.borrow import borrow
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.storage.tensors import refuse_nonfinite
from biomtl.suite import Suite, load_suite
from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.registry import known_tasks
from biomtl.tasks.task import Task
from biomtl.tasks.types.relation import view_of
from biomtl.training.optimiser import refuse_for_encoder
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import located, make_recipe
from biomtl.training.recipe_tasks import TaskOptions

BUILT_FOR = ("view", "adapter", "lora")  # what a head is built for, besides its name and options
IN_PYTHON = "made in Python"  # the recipe's value for an encoder or data that can't be loaded from anywhere


class Assembly(NamedTuple):
    """What a run trains: the complete ``recipe``, and the suite and model that it describes."""

    recipe: Recipe
    suite: Suite
    model: MultiTaskModel


def assemble(recipe: Recipe, model: MultiTaskModel | None = None, suite: Suite | None = None) -> Assembly:
    """Build whatever isn't passed in, and write whatever is into the recipe.

    Raises:
        InputError: data or encoder that can't be loaded, or a model or suite that contradicts the recipe.
    """
    recipe = located(recipe, Path.cwd())
    start, fresh = model, None  # weights come first: whatever is wrong with them is known before data is read
    if model is not None:
        if recipe.init_from is not None:
            raise InputError("init_from, but a model was passed in", fix="leave it out, or call `borrow` before")
        refuse_nonfinite(model.named_parameters(), None)
    elif recipe.heads == "trained":
        start = MultiTaskModel.from_pretrained(recipe.encoder, **_given(recipe, "max_length", "stride"))
    else:
        torch.manual_seed(recipe.seed)
        lengths: dict[str, Any] = {"max_length": recipe.max_length, "stride": recipe.stride}
        fresh = MultiTaskModel.from_encoder(recipe.encoder, (), **lengths, layers=recipe.num_hidden_layers)
        if recipe.init_from is not None:
            fresh.borrowed = borrow(fresh.encoder, fresh.processor, recipe.init_from)
    loaded = fresh or start
    assert loaded is not None
    refuse_for_encoder(recipe, loaded.encoder)
    facts: dict[str, Any] = {}
    if suite is None:
        names = list(recipe.tasks) or (list(model.tasks) if model else None)
        suite = load_suite(recipe.suite, names, recipe.own_tasks, known=start.tasks if start else None)
        recipe = with_task_names(recipe, suite)
    else:
        recipe = with_task_names(recipe, suite)
        facts |= facts_of_suite(recipe, suite)
    if model is not None:
        facts |= facts_of_model(recipe, model, suite, facts.get("tasks", recipe.tasks))
    elif start is not None:
        facts |= {"max_length": start.processor.max_length, "stride": start.processor.stride}
    if facts:
        recipe = recorded(recipe, facts)
    suite = suite.with_options(recipe.tasks, start.choices if start else None, start.tasks if start else None)
    if model is not None:
        take_arguments(model, suite)
        return Assembly(recipe, suite, model)
    if fresh is not None:
        for name, task in suite.tasks.items():
            fresh.add_task(task, suite.heads.get(name, DEFAULT_HEAD))
        return Assembly(recipe, suite, fresh)
    assert start is not None
    torch.manual_seed(recipe.seed)  # the seed decides fresh heads too
    keep_heads(start, suite)
    return Assembly(recipe, suite, start)


def with_task_names(recipe: Recipe, suite: Suite) -> Recipe:
    """The recipe with the names of its tasks, those that it distils included, instead of aliases.

    Raises:
        InputError: one task under two names, or a task that the suite doesn't have.
    """
    aliases = {alias: task.name for task in known_tasks().values() for alias in (task.name, *task.aliases)}

    def named(name: str) -> str:
        return name if name in suite.tasks else aliases.get(name.lower(), name)

    if (distill := recipe.distill) is not None:
        teachers = {named(name): runs for name, runs in distill.teachers.items()}
        update = {"teachers": teachers, "unlabelled": tuple(map(named, distill.unlabelled))}
        recipe = recipe.model_copy(update={"distill": distill.model_copy(update=update)})
    if not recipe.tasks:
        return recipe
    names = {name: named(name) for name in recipe.tasks}
    if len(set(names.values())) < len(names):
        raise InputError(f"a task under two names ({', '.join(recipe.tasks)})", fix="list it once")
    for name in names.values():
        if name not in suite.tasks:
            raise InputError(f"no data for task {name!r}", expected="one of: " + ", ".join(suite.tasks))
    best = recipe.metric_for_best_model
    if isinstance(best, str):
        best = names.get(best, best)
    elif best is not None:
        best = tuple(names.get(name, name) for name in best)
    tasks = {names[name]: options for name, options in recipe.tasks.items()}
    return recipe.model_copy(update={"tasks": tasks, "metric_for_best_model": best})


def facts_of_suite(recipe: Recipe, suite: Suite) -> dict[str, Any]:
    """The recipe's values for a suite that was passed in: its location and its tasks, with definitions of own tasks.

    Raises:
        InputError: the recipe names another suite, or other tasks.
    """
    more = [name for name in suite.tasks if recipe.tasks and name not in recipe.tasks]
    if more:
        fix = "list it, or leave tasks out of the recipe"
        raise InputError(f"the suite's task {more[0]!r} is not among the recipe's tasks", fix=fix)
    tasks = {}
    for name, entry in suite.data.items():
        options = recipe.tasks.get(name, TaskOptions())
        definition = {key: getattr(entry.definition, key) for key in entry.definition.given} if entry.definition else {}
        said = {key: getattr(options, key) for key in options.given}
        if said and said != definition:
            raise InputError(f"the recipe's definition of task {name} differs from that of the suite passed in")
        tasks[name] = options.model_copy(update=definition)
    return {"suite": _settled(recipe, "suite", suite.source or IN_PYTHON), "tasks": tasks}


def facts_of_model(
    recipe: Recipe, model: MultiTaskModel, suite: Suite, options: Mapping[str, TaskOptions]
) -> dict[str, Any]:
    """The recipe's values for a model that was passed in: its encoder and lengths, its heads and how it reads pairs.

    Raises:
        InputError: the model has no head for the data, or contradicts the recipe.
    """
    for name, task in suite.tasks.items():
        old = model.tasks.get(name)
        if old is None:
            raise InputError(f"the model has no head for task {name!r}", fix="model.add_task(suite.tasks[name])")
        if problem := _difference(old, task):
            raise InputError(f"the model's head for {name} is for {problem}", fix="build the model from suite.tasks")
    facts = {
        "encoder": model.source or IN_PYTHON,
        "heads": "trained" if model.trained_heads.intersection(suite.tasks) else "fresh",
        "max_length": model.processor.max_length,
        "stride": model.processor.stride,
    }
    tasks = {
        name: _as_built(options.get(name, TaskOptions()), model.tasks[name], model.choices[name])
        for name, task in suite.tasks.items()
    }
    return {**{key: _settled(recipe, key, value) for key, value in facts.items()}, "tasks": tasks}


def recorded(recipe: Recipe, facts: Mapping[str, Any]) -> Recipe:
    """The recipe with these values, validated as a whole."""
    tasks = {name: options.model_dump(exclude_none=True) for name, options in facts.get("tasks", recipe.tasks).items()}
    return make_recipe({**recipe.model_dump(exclude_none=True), **facts, "tasks": tasks})


def keep_heads(model: MultiTaskModel, suite: Suite) -> None:
    """Give ``model`` exactly the suite's tasks: trained heads are kept, new tasks get fresh ones.

    Raises:
        InputError: a head was trained on other labels or inputs, or with other options.
    """
    for name, task in suite.tasks.items():
        old = model.tasks.get(name)
        if old is None:
            model.add_task(task, suite.heads[name])
            continue
        fresh = "add --fresh-head (in a recipe, heads: fresh)"
        if problem := _difference(old, task):
            raise InputError(f"the model's head for {name} was trained on {problem}", fix=fresh)
        if changed := _changed(model.choices[name], suite.heads[name]):
            problem = f"{changed} for {name}, whose trained head was built differently"
            raise InputError(problem, fix=f"leave it out or {fresh}")
        model.tasks[name] = old.model_copy(update={"order": task.order, "unanswerable": task.unanswerable})
    model.keep_tasks(suite.tasks)
    take_arguments(model, suite)


def take_arguments(model: MultiTaskModel, suite: Suite) -> None:
    """Give the relation tasks of ``model`` the arguments of the data's, so that it predicts as it is trained.

    Raises:
        InputError: a trained head has vectors for other types of mentions.
    """
    for name, task in suite.tasks.items():
        old = model.tasks[name]
        if task.relation is None or old.relation in (None, task.relation):
            continue
        before, now = old.relation.names(), task.relation.names()
        if view_of(model.choices[name]).typed and before != now:
            problem = f"the model's head for {name} was trained on mentions of {', '.join(before)}"
            fix = f"not {', '.join(now)}: name the same types in the same order, or train a fresh head"
            raise InputError(problem, fix=fix)
        model.tasks[name] = old.model_copy(update={"relation": task.relation})


def _difference(old: Task, task: Task) -> str | None:
    """The difference between a head's task and the data's task, if any."""
    if (old.type, old.labels, old.inputs) == (task.type, task.labels, task.inputs):
        return None
    if (old.type, old.inputs) != (task.type, task.inputs):
        return f"another type or inputs, expected {old.type} over {old.inputs}"
    lacking = [label for label in old.labels if label not in task.labels]
    more = [label for label in task.labels if label not in old.labels]
    sides = [f"the data lack {', '.join(lacking)}"] * bool(lacking) + [f"the head lacks {', '.join(more)}"] * bool(more)
    return f"other labels ({'; '.join(sides) or 'in another order'}), expected {', '.join(old.labels)}"


def _changed(old: HeadChoice, new: HeadChoice) -> str | None:
    """The requested option that a trained head doesn't have, if any."""
    if new.name != old.name:
        return f"head {new.name}"
    if new.pairs != old.pairs:
        return f"pairs: {new.pairs}"
    for key in BUILT_FOR:
        if getattr(new, key) != getattr(old, key):
            return f"{key}: {getattr(new, key)}"
    changed = [key for key, value in new.options.items() if old.options.get(key) != value]
    return f"head option {changed[0]}" if changed else None


def _as_built(options: TaskOptions, task: Task, built: HeadChoice) -> TaskOptions:
    """A task's options, with those of its existing head."""
    place = f"tasks.{task.name}"
    if options.order not in (None, task.order):
        raise _contradiction(f"{place}.order", options.order, task.order)
    if options.pairs not in (None, built.pairs):
        raise _contradiction(f"{place}.pairs", options.pairs, built.pairs)
    for key in BUILT_FOR:
        wish, own = getattr(options, key), getattr(built, key)
        if wish not in (None, own):
            raise _contradiction(f"{place}.{key}", wish, own)
    wanted = options.choose(built)
    if wanted.name != built.name:
        raise _contradiction(f"{place}.head", wanted.name, built.name)
    for key, value in wanted.options.items():
        if built.options.get(key) != value:
            raise _contradiction(f"{place}.head_options.{key}", value, built.options.get(key))
    update: dict[str, Any] = {"head": built.name, "head_options": built.options}
    update |= {key: own for key in BUILT_FOR if (own := getattr(built, key)) is not None}
    if task.inputs in ("pair", "candidates"):
        update["pairs"] = built.pairs
    if task.inputs == "pair":
        update["order"] = task.order
    return options.model_copy(update=update)


def _settled(recipe: Recipe, key: str, value: Any) -> Any:
    """The value to record for an object that was passed in; for one made in Python, the recipe's value."""
    said = getattr(recipe, key)
    if key not in recipe.model_fields_set:
        return value
    if value == IN_PYTHON or same_place(said, value):
        return said
    raise _contradiction(key, said, value)


def same_place(first: Any, second: Any) -> bool:
    """Whether two values of a recipe are equal, or are two paths of the same file or folder."""
    if isinstance(first, str) and isinstance(second, str):
        return first == second or Path(first).resolve() == Path(second).resolve()
    return bool(first == second)


def _contradiction(key: str, said: Any, value: Any) -> InputError:
    problem = f"{key} is {said!r} in the recipe, {value!r} in what was passed in"
    return InputError(problem, fix="leave the key out of the recipe, or pass in what it names")


def _given(recipe: Recipe, *keys: str) -> dict[str, Any]:
    """The keys that the recipe gives, with their values."""
    return {key: getattr(recipe, key) for key in keys if key in recipe.model_fields_set}
