"""The options of a named head, from a recipe or a saved model."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from biomtl.errors import InputError, nearest
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task

Options = TypeVar("Options", bound=BaseModel)


def head_options(model: type[Options], task: Task, choice: HeadChoice) -> Options:
    """The options of a task's head.

    Args:
        model: the options that the head has.
        task: the task.
        choice: its head, with the given options.

    Raises:
        InputError: an unknown option or an impossible value.
    """
    try:
        return model.model_validate(choice.options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        fix = nearest(name, model.model_fields) if first["type"] == "extra_forbidden" else None
        raise InputError(f"task {task.name}: head option {name}: {first['msg']}", fix=fix) from error
