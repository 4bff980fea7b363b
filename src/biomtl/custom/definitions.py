"""Reads the definitions of own tasks from a recipe, ignoring the rest of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from biomtl.custom.config import TaskDefinition
from biomtl.errors import InputError
from biomtl.storage.structured import read_yaml


def read_definitions(path: Path) -> dict[str, TaskDefinition]:
    """The user's own tasks in a recipe by name, with file names relative to the recipe's folder.

    Raises:
        InputError: not YAML, no own task in it, or an invalid definition.
    """
    value, _ = read_yaml(path)
    listed = value.get("tasks") if isinstance(value, dict) else None
    entries = _by_name(listed)
    definitions = {
        name: _definition(name, entry, path) for name, entry in entries.items() if entry.get("files") is not None
    }
    if not definitions:
        raise InputError("no task with files", path=path, expected="a recipe that defines tasks (docs/own-tasks.md)")
    return definitions


def _by_name(listed: Any) -> dict[str, dict[str, Any]]:
    if isinstance(listed, dict):
        pairs = list(listed.items())
    else:
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        pairs = [(entry["name"], entry) if "name" in entry else next(iter(entry.items())) for entry in entries if entry]
    return {str(name): entry for name, entry in pairs if isinstance(entry, dict)}


def _definition(name: str, entry: dict[str, Any], path: Path) -> TaskDefinition:
    fields = {key: value for key, value in entry.items() if key in TaskDefinition.model_fields}
    try:
        definition = TaskDefinition(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        keys = ".".join(str(step) for step in ("tasks", name, *first["loc"]))
        expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        raise InputError(f"{keys}: {first['input']!r:.60}", path=path, expected=expected) from error
    return definition.located(path.parent.absolute())
