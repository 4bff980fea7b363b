"""Recipes from YAML with ``key=value`` overrides, back to YAML, and errors that name the line of the key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, get_args

import yaml
from pydantic import BaseModel, ValidationError

from biomtl.custom.config import Files, TaskDefinition
from biomtl.errors import InputError, nearest
from biomtl.recipes import recipe_file
from biomtl.storage.structured import parse_yaml, read_yaml
from biomtl.tasks.registry import known_tasks
from biomtl.tasks.relation import RelationArguments
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_tasks import OF_MIXTURES, OF_SHARES, TaskOptions, tasks_by_name

# Other trainers' names of keys that are too different for `nearest`.
ELSEWHERE = {
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "model_name_or_path": "encoder",
    "model": "encoder",
    "data": "suite",
    "output_dir": "output",
    "per_device_train_batch_size": "batch_size",
    "logging_dir": "report_to",
    "patience": "early_stopping_patience",
}
COMMAND_LINE = "command line"
NESTED: dict[str, type[BaseModel]] = {
    "files": Files,
    "relation": RelationArguments,
}  # keys of a task that hold mappings
DEPTH = 5  # a recipe nests no deeper; the limit also ends the walk over a YAML anchor that contains itself
Keys = tuple[str, ...]
Lines = dict[Keys, int]  # 0 for a key that the command line gave


class Problem(NamedTuple):
    """One problem in a recipe, and its keys."""

    found: str
    expected: str | None
    fix: str | None
    keys: list[Keys]


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a YAML file, or a packaged one by name, with ``key=value`` overrides (dotted keys, values as YAML).

    Without ``output`` the run folder is ``runs/<name of the file>``.

    Raises:
        InputError: a file that isn't a YAML mapping; unknown, repeated or contradictory keys; impossible values.
    """
    path = recipe_file(path)
    values, lines = _read(path)
    for override in overrides:
        _override(values, lines, override)
    values.setdefault("output", f"runs/{path.stem}")
    return located(make_recipe(values, path=path, lines=lines), path.parent.absolute())


def recipe_from_options(
    path: Path | None, overrides: Sequence[str], *, defaults: Mapping[str, Any] | None = None, **fixed: Any
) -> Recipe:
    """The recipe of a single task whose command fixes some keys: ``defaults``, file (if any), overrides, ``fixed``.

    What the file says of mixing tasks, or of adapting the encoder first, is left out.

    Raises:
        InputError: as ``load_recipe``; also an override of a fixed key.
    """
    values, lines = ({}, {}) if path is None else _read(path := recipe_file(path))
    values = {key: value for key, value in values.items() if key not in (*OF_MIXTURES, "adapt")}
    if isinstance(given := values.get("tasks") or {}, Mapping):
        there = {canonical(name) for name in given}
        more: dict[str, Any] = {name: {} for name in fixed.get("tasks", ()) if canonical(name) not in there}
        alone = {name: _alone(options) for name, options in given.items()}
        values["tasks"] = {**alone, **more}  # so that overrides may give their options
    for override in overrides:
        if override.partition("=")[0] in fixed:
            raise InputError(f"override {override!r}", fix="use the command's own option instead")
        _override(values, lines, override)
    tasks = values.get("tasks") or {}
    if not isinstance(tasks, Mapping):
        make_recipe(values, path=path, lines=lines)  # raises the error
    listed = {canonical(name): options for name, options in tasks.items()}
    kept = {name: _options(tasks.get(name, listed.get(canonical(name)))) for name in fixed.get("tasks", ())}
    return make_recipe({**(defaults or {}), **values, **fixed, "tasks": kept}, path=path, lines=lines)


def canonical(name: str) -> str:
    """A benchmark task's name for any of its aliases; other names unchanged."""
    return next((task.name for task in known_tasks().values() if name.lower() in task.aliases), name)


def _options(options: Any) -> Any:
    """A task's options in a recipe without its definition, for data from elsewhere."""
    if not isinstance(options, Mapping):
        return options
    return {key: value for key, value in options.items() if key not in TaskDefinition.model_fields}


def _alone(options: Any) -> Any:
    """A task's options without its share in a mixture."""
    if not isinstance(options, Mapping):
        return options
    return {key: value for key, value in options.items() if key not in OF_SHARES}


def make_recipe(values: Mapping[str, Any], *, path: str | Path | None = None, lines: Lines | None = None) -> Recipe:
    """The recipe from a mapping; ``lines`` gives the line of each key in ``path``.

    Raises:
        InputError: unknown or contradictory keys, impossible values; the first by line.
    """
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        # An unknown key before the one that is missing, which it was probably meant to be.
        found = sorted(error.errors(), key=lambda problem: problem["type"] == "missing")
        raise _first([_explain(dict(problem)) for problem in found], path, lines) from error
    if problems := list(_of_stages(recipe)):
        raise _first(problems, path, lines)
    return recipe


def _first(problems: Sequence[Problem], path: str | Path | None, lines: Lines | None) -> InputError:
    """The error of the first problem by line."""
    placed = [(_line(lines or {}, problem.keys), problem) for problem in problems]
    line, first = min(placed, key=lambda pair: (pair[0] is None, pair[0] or 0))
    where = COMMAND_LINE if line == 0 else path
    return InputError(first.found, path=where, line=line or None, expected=first.expected, fix=first.fix)


def _of_stages(recipe: Recipe) -> Iterator[Problem]:
    """Keys of stages that no recipe has, and values that none may have; what contradicts other keys is found later."""
    for index, stage in enumerate(recipe.stages):
        place: Keys = ("stages", f"[{index}]", stage.name)
        given = [(key, value, str(stage.name), (*place, key)) for key, value in stage.keys.items()]
        for task, keys in stage.by_task.items():
            name = f"{stage.name}: {task}"
            given += [(key, value, name, (*place, "by_task", task, key)) for key, value in keys.items()]
        for key, value, name, where in given:
            try:
                Recipe.model_validate({key: value})
            except ValidationError as error:
                for problem in error.errors():
                    if problem["type"] not in ("contradiction", "missing"):
                        explained = _explain(dict(problem))
                        yield explained._replace(found=f"stages: {name}: {explained.found}", keys=[where])


@contextmanager
def placing_stages(path: Path, overrides: Sequence[str]) -> Iterator[None]:
    """Give file and line to errors about a recipe's stages, which are planned only after it has been read."""
    try:
        yield
    except InputError as error:
        words = error.found.split(": ", 2)
        if error.path is not None or words[0] not in ("stages", "stages without tasks", "adapt without a stage adapt"):
            raise
        values, lines = _read(path := recipe_file(path))
        for override in overrides:
            _override(values, lines, override)
        name = words[1] if len(words) > 2 else ""
        stage = [keys for keys in lines if keys[0] == "stages" and len(keys) < 4 and keys[-1] == name]
        placed = _first([Problem(error.found, error.expected, error.fix, stage or [("stages",)])], path, lines)
        raise placed from error


def located(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with own tasks' files resolved against ``folder``, so that it means the same in any folder."""
    tasks = dict(recipe.tasks)
    for name, options in tasks.items():
        if options.files is not None:
            tasks[name] = options.located(folder)
    return recipe if tasks == recipe.tasks else recipe.model_copy(update={"tasks": tasks})


def dump_recipe(recipe: Recipe) -> str:
    """YAML that ``load_recipe`` reads back as an equal recipe, with every value that the run uses.

    Of stages, only what was given: a key that follows from another would contradict a stage that changes this one. If
    all tasks are the recipe's own, the default suite is left out.
    """
    values = recipe.model_dump(mode="json", exclude_none=True, exclude_unset=bool(recipe.stages))
    values.setdefault("output", recipe.output)
    default = recipe.suite == Recipe.model_fields["suite"].default
    if default and recipe.tasks and len(recipe.own_tasks) == len(recipe.tasks):
        values.pop("suite", None)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def changes(recipe: Recipe) -> list[tuple[str, str, str]]:
    """The keys whose values are not the defaults, each with value and default as YAML; tasks option by option."""
    values = recipe.model_dump(mode="json", exclude_defaults=True)
    tasks = values.pop("tasks", None)
    default = Recipe.model_validate({}).model_dump(mode="json")
    found = [(key, _yaml(value), _yaml(default[key])) for key, value in values.items() if value != default[key]]
    if isinstance(tasks, Mapping):
        found.append(("tasks", ", ".join(map(str, tasks)), _yaml(default["tasks"])))
        found += [
            (f"tasks.{name}.{key}", _yaml(value), "")
            for name, options in tasks.items()
            for key, value in (options or {}).items()
        ]
    return found


def _yaml(value: Any) -> str:
    """A value in one line of YAML."""
    return (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000).removesuffix("...\n").strip()
    )


def _read(path: Path) -> tuple[dict[str, Any], Lines]:
    """The file's mapping with ``tasks`` by name, and the line of every key."""
    value, node = read_yaml(path)
    if value is None:
        if not path.stat().st_size:  # a file that lost its content would train the default tasks for hours
            fix = "for all defaults write `{}`; to start from a packaged recipe: `biomtl recipes NAME`"
            raise InputError("an empty file", path=path, line=1, expected="`key: value` lines", fix=fix)
        return {}, {}
    if not isinstance(value, dict):
        raise InputError(f"a YAML {type(value).__name__}", path=path, line=1, expected="`key: value` lines")
    lines: Lines = {}
    for keys, line in _walk(node, ()):
        if keys in lines and keys[-1] != "<<":
            raise InputError(f"key {'.'.join(keys)!r} is given twice", path=path, line=line, fix="remove one")
        lines[keys] = line
    return _with_named_tasks(value, lines, path), lines


def _with_named_tasks(value: dict[str, Any], lines: Lines, path: Path) -> dict[str, Any]:
    """``tasks`` as a mapping, so that overrides and errors can refer to ``tasks.<name>``."""
    if value.get("tasks") is None:
        return value
    listed = value["tasks"] if isinstance(value["tasks"], list) else []
    try:
        tasks = tasks_by_name(value["tasks"])
    except ValueError as error:  # PydanticCustomError is one
        raise InputError(str(error), path=path, line=_line(lines, [("tasks",)])) from error
    for index, name in enumerate(tasks if listed else []):
        for keys in [keys for keys in lines if keys[:2] == ("tasks", f"[{index}]")]:
            inner = keys[3:] if keys[2:3] == (name,) else keys[2:]
            lines["tasks", name, *inner] = lines[keys]
    return {**value, "tasks": tasks}


def _walk(node: yaml.Node | None, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """(keys, 1-based line) of every key below ``node``; the n-th entry of a list has the key ``[n]``."""
    if len(above) >= DEPTH:
        return
    if isinstance(node, yaml.MappingNode):
        children = [(str(key.value), key.start_mark, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        children = [(f"[{index}]", child.start_mark, child) for index, child in enumerate(node.value)]
    else:
        return
    for key, mark, child in children:
        yield (*above, key), mark.line + 1
        yield from _walk(child, (*above, key))


def _line(lines: Lines, keys: Sequence[Keys]) -> int | None:
    """The last line with one of ``keys`` or its parent: 0 for the command line, None if there is none."""
    numbers = []
    for key in keys:
        while key and key not in lines:
            key = key[:-1]
        if key:
            numbers.append(lines[key])
    return 0 if 0 in numbers else max(numbers, default=None)


def _override(values: dict[str, Any], lines: Lines, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(
            f"override {override!r}", path=COMMAND_LINE, expected="key=value", fix="such as learning_rate=1e-4"
        )
    try:
        value, _ = parse_yaml(text)
        value, kept = _chosen(tasks_by_name(value), values.get("tasks")) if key == "tasks" else (value, set())
    except ValueError as error:
        what = str(error).splitlines()[0]
        raise InputError(f"override {override!r}: {what}", path=COMMAND_LINE, fix="quote the value") from error
    keys = _override_keys(values, key)
    place = values
    for name in keys[:-1]:
        inner = place.get(name)
        place[name] = dict(inner) if isinstance(inner, Mapping) else {}
        place = place[name]
    place[keys[-1]] = value
    for known in [known for known in lines if known[: len(keys)] == keys]:
        if kept.isdisjoint(known[1:2]):  # options that were kept are still from the file
            del lines[known]
    for depth in range(1, len(keys) + 1):
        lines.setdefault(keys[:depth], 0)


def _chosen(chosen: Any, tasks: Any) -> tuple[Any, set[str]]:
    """The chosen tasks by name, where those without options keep the recipe's, and the names of these."""
    if not (isinstance(chosen, Mapping) and isinstance(tasks, Mapping)):
        return chosen, set()
    kept = {name for name, options in chosen.items() if not options and tasks.get(name)}
    return {name: tasks[name] if name in kept else options for name, options in chosen.items()}, kept


def _override_keys(values: dict[str, Any], key: str) -> Keys:
    """A dotted key in parts; a task's name may contain dots."""
    first, _, rest = key.partition(".")
    if first != "tasks" or not rest:
        return tuple(key.split("."))
    tasks = values.get("tasks")
    names = [str(name) for name in tasks] if isinstance(tasks, Mapping) else []
    for name in sorted(names, key=len, reverse=True):
        if rest.startswith(f"{name}."):
            return "tasks", name, *rest[len(name) + 1 :].split(".")
    wanted = rest.rsplit(".", 1)[0]
    hint = nearest(wanted, names) if names else "list the tasks first: tasks=[…]"
    raise InputError(f"{key}: the recipe lists no task {wanted!r}", path=COMMAND_LINE, fix=hint)


def _explain(problem: dict[str, Any]) -> Problem:
    """One of pydantic's errors in our words."""
    keys = tuple(str(step) for step in problem["loc"])
    if problem["type"] == "contradiction":
        return Problem(problem["msg"], None, None, [_split(key) for key in problem["ctx"]["keys"]])
    if problem["type"] in ("extra_forbidden", "invalid_key"):
        known = _known(keys)
        same = ELSEWHERE.get(keys[-1]) if len(keys) == 1 else None
        fix = f"did you mean {same!r}?" if same else nearest(keys[-1], known)
        return Problem(f"unknown key {'.'.join(keys)!r}", None, fix, [keys])
    message = str(problem["msg"]).removeprefix("Input should be ").removeprefix("Value should have ")
    message = message.partition(" after validation")[0]
    if problem["type"] == "model_type" and len(keys) == 1:
        options = f"a mapping with {', '.join(_known((*keys, '')))}"
        return Problem(f"{keys[0]}: {problem['input']!r}", options, None, [keys])
    if problem["type"] == "missing":
        return Problem(f"no key {'.'.join(keys)!r}", None, None, [keys, keys[:-1]])
    if problem["type"] == "value_error":
        return Problem(f"{'.'.join(keys)}: {message.removeprefix('Value error, ')}", None, None, [keys])
    return Problem(f"{'.'.join(keys)}: {problem['input']!r}", message, None, [keys])


def _known(keys: Keys) -> Iterable[str]:
    """The keys that could stand in the place of the last of these."""
    if keys[0] == "tasks":
        return (NESTED.get(keys[2], TaskOptions) if len(keys) > 3 else TaskOptions).model_fields
    nested = get_args(Recipe.model_fields[keys[0]].annotation) if len(keys) > 1 else ()
    models = [kind for kind in nested if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return models[0].model_fields if models else Recipe.model_fields


def _split(key: str) -> Keys:
    """The parts of ``tasks.<name>.<option>``, where the name may contain dots, or of a plain key."""
    first, _, rest = key.partition(".")
    return (first, *rest.rsplit(".", 1)) if rest else (first,)
