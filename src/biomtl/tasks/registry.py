"""The tasks in the package, by name or alias."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from itertools import chain
from pathlib import Path

import yaml

from biomtl.errors import InputError, nearest
from biomtl.tasks.task import Task

_FOLDER = resources.files("biomtl.tasks")
_SUITES = yaml.safe_load((_FOLDER / "suites.yaml").read_text(encoding="utf-8"))
PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    suite: {part: tuple(tasks) for part, tasks in parts.items()}
    for suite, parts in _SUITES.items()
    if isinstance(parts, dict)
}
"""The parts of suites that are scored by parts (see `biomtl.scoring.suite`)."""
SUITES: Mapping[str, tuple[str, ...]] = {
    suite: tuple(chain(*PARTS[suite].values())) if suite in PARTS else tuple(tasks) for suite, tasks in _SUITES.items()
}
"""Named lists of tasks."""
GROUPS: Mapping[str, tuple[str, ...]] = {
    group: tuple(tasks)
    for group, tasks in yaml.safe_load((_FOLDER / "groups.yaml").read_text(encoding="utf-8")).items()
}
"""Parts of a suite that are trained together, by the name that a recipe's ``group`` gives."""


@cache
def known_tasks() -> dict[str, Task]:
    """Every task in the package, by name, in the order of the suites."""
    files = {path.name: path for folder in _FOLDER.iterdir() if folder.is_dir() for path in folder.iterdir()}
    names = dict.fromkeys(name for members in SUITES.values() for name in members)
    records = [yaml.safe_load(files[f"{name}.yaml"].read_text(encoding="utf-8")) for name in names]
    return {task.name: task for task in map(Task.model_validate, records)}


def get_task(name: str) -> Task:
    """A task by its name or one of its aliases, in any case.

    Raises:
        InputError: unknown name; the message suggests the nearest known one.
    """
    names = {alias: task for task in known_tasks().values() for alias in (task.name, *task.aliases)}
    try:
        return names[name.lower()]
    except KeyError:
        near = nearest(name.lower(), names)
        fix = near if near.startswith("did you mean") else f"known: {', '.join(known_tasks())}"
        raise InputError(f"unknown task {name!r}", fix=fix) from None


def pick(name: str, there: Iterable[str], where: str | Path) -> str:
    """The name among those ``there`` that a task's name or alias refers to.

    Raises:
        InputError: none of them; the message suggests the nearest.
    """
    there = list(there)
    aliases = {alias: task.name for task in known_tasks().values() for alias in (task.name, *task.aliases)}
    own = name if name in there else aliases.get(name.lower())
    if own not in there:
        raise InputError(f"no task {name!r}", path=where, fix=nearest(name, there))
    return own


def named(names: Iterable[str]) -> list[str]:
    """The names of tasks given by name, alias, or the name of a suite that holds them, each once.

    Raises:
        InputError: neither a task nor a suite.
    """
    return list(dict.fromkeys(get_task(task).name for name in names for task in SUITES.get(name.lower(), (name,))))


def suite_tasks(name: str) -> list[Task]:
    """The tasks of a named suite."""
    try:
        return [get_task(task) for task in SUITES[name]]
    except KeyError:
        raise InputError(f"unknown suite {name!r}", fix=nearest(name, SUITES)) from None
