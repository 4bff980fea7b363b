"""The tasks that come with the package, found by name or alias."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path

import yaml

from biomtl.errors import InputError, nearest
from biomtl.tasks.task import Task

BLUE = (
    "medsts",
    "biosses",
    "bc5cdr-chem",
    "bc5cdr-disease",
    "shareclefe",
    "ddi2013",
    "chemprot",
    "i2b2-2010",
    "hoc",
    "mednli",
)
SUITES: dict[str, tuple[str, ...]] = {
    "blue": BLUE,
    "blue-public": ("biosses", "bc5cdr-chem", "bc5cdr-disease", "ddi2013", "chemprot", "hoc"),
    "sample": BLUE,
}


@cache
def known_tasks() -> dict[str, Task]:
    """The ten tasks of BLUE by name, in the benchmark's order."""
    folder = resources.files("biomtl.tasks") / "blue"
    records = [yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8")) for name in BLUE]
    return {task.name: task for task in map(Task.model_validate, records)}


def get_task(name: str) -> Task:
    """A task by its name or one of its aliases, in any case.

    Raises:
        InputError: unknown name; the nearest known one is suggested.
    """
    names = {alias: task for task in known_tasks().values() for alias in (task.name, *task.aliases)}
    try:
        return names[name.lower()]
    except KeyError:
        near = nearest(name.lower(), names)
        fix = near if near.startswith("did you mean") else f"known: {', '.join(known_tasks())}"
        raise InputError(f"unknown task {name!r}", fix=fix) from None


def pick(name: str, there: Iterable[str], where: str | Path) -> str:
    """Which of the names that are ``there`` is meant by a task's name or alias.

    Raises:
        InputError: none of them; the nearest is suggested.
    """
    there = list(there)
    aliases = {alias: task.name for task in known_tasks().values() for alias in (task.name, *task.aliases)}
    own = name if name in there else aliases.get(name.lower())
    if own not in there:
        raise InputError(f"no task {name!r}", path=where, fix=nearest(name, there))
    return own


def suite_tasks(name: str) -> list[Task]:
    """The tasks of a named suite."""
    try:
        return [get_task(task) for task in SUITES[name]]
    except KeyError:
        raise InputError(f"unknown suite {name!r}", fix=nearest(name, SUITES)) from None
