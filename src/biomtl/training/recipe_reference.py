"""The page ``docs/recipe.md`` from the models: ``python -m biomtl.training.recipe_reference > docs/recipe.md``."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from biomtl.training.options import Options
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import make_recipe
from biomtl.training.recipe_tasks import TaskOptions

HEAD = """<!-- Written by `python -m biomtl.training.recipe_reference`; edit the descriptions in training/recipe.py. -->
# The recipe

A recipe is a YAML file that defines a whole run: `biomtl train RECIPE [key=value …]`. Every key has a default, so
`{}` is a valid recipe, which trains the bundled sample suite. Keys have the names of Hugging Face's training
arguments where these exist. `null` means "not given". Unknown keys, impossible values and contradictory keys are
refused, with the line of the key, before any data is read. The run folder keeps the resolved recipe.

On the command line, `key=value` overrides a key; dots address a task's options, and values are YAML.
A list of names as `tasks` chooses tasks, which keep the options that the recipe gives them:

```bash
biomtl train sample learning_rate=1e-4 tasks.ddi2013.weight=2 output=runs/first
biomtl train sample tasks="[ddi2013, hoc]" batch_tokens=null batch_size=16 output=runs/second
```

"""
TASKS = """
## Options of a task

`tasks` lists names, or names with options, in either of these forms; without it every task of the suite is trained.

    tasks: [bc5cdr-chem, bc5cdr-disease]

    tasks:
      bc5cdr-chem:
      ddi2013: {weight: 2, max_rows: 5000}

An entry with `type` and `files` is your own task, with a name of your choice ([own tasks](own-tasks.md)); it needs
no prepared suite.

"""
METHODS = """
## Options of methods

Keys with several options are mappings, on the command line with dots (`smart.weight=0.5`); see
[training methods](training-methods.md).
"""


def reference() -> str:
    """The page in Markdown."""
    resolved = make_recipe({})
    parts = [HEAD, "## Keys\n\n", *_table(Recipe, resolved), TASKS, *_table(TaskOptions, TaskOptions()), METHODS]
    for name, field in Recipe.model_fields.items():
        if (options := _options(field)) is not None:
            defaults = {key: None if of.is_required() else of.get_default() for key, of in options.model_fields.items()}
            parts += [f"\n`{name}`\n\n", *_table(options, options.model_construct(**defaults))]
    return "".join(parts)


def _options(field: FieldInfo) -> type[Options] | None:
    """The options that a key holds, if it holds any."""
    kinds = [kind for kind in _parts(field.annotation) if isinstance(kind, type)]
    return next((kind for kind in kinds if issubclass(kind, Options)), None)


def _table(model: type[BaseModel], defaults: BaseModel) -> Iterator[str]:
    yield "| key | value | default | meaning |\n|---|---|---|---|\n"
    for name, field in model.model_fields.items():
        value = getattr(defaults, name)
        default = "" if value is None or value == {} or value == () else f"`{_yaml(value)}`"
        yield f"| `{name}` | {_kind(field)} | {default} | {field.description} |\n"


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _kind(field: FieldInfo) -> str:
    """The allowed values, in words."""
    options = [option for option in _parts(field.annotation) if option is not type(None)]
    annotation, metadata = options[0], list(field.metadata)
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *more = typing.get_args(annotation)
        metadata += more
    if typing.get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    names = {int: "integer", float: "number", bool: "`true`, `false`", str: "text"}
    bounds = [bound for entry in metadata for bound in _bounds(entry)]
    return " ".join([names.get(annotation, "list" if typing.get_origin(annotation) is tuple else "mapping"), *bounds])


def _parts(annotation: Any) -> tuple[Any, ...]:
    return (
        typing.get_args(annotation)
        if typing.get_origin(annotation) in (typing.Union, types.UnionType)
        else (annotation,)
    )


def _bounds(entry: Any) -> Iterator[str]:
    for inner in getattr(entry, "metadata", [entry]):
        for attribute, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
            if (bound := getattr(inner, attribute, None)) is not None:
                yield f"{sign} {bound}"


if __name__ == "__main__":
    sys.stdout.write(reference())
