"""The stages of a recipe as its keys give them; without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from biomtl.training.options import Options
from biomtl.training.recipe_tasks import contradiction

StageName = Literal["adapt", "alone", "joint", "each"]
NOT_OF_RUNS = ("by_task", "seeds")
"""What a stage may be given beside recipe keys."""


class Stage(Options):
    """One stage: a run, or a run per task, with some of the recipe's keys changed."""

    name: StageName = Field(
        description="`adapt`, `alone` (a run per task), `joint`, `each` (a run per task, from joint)."
    )
    keys: dict[str, Any] = Field(default_factory=dict, description="Recipe keys that this stage overrides.")
    by_task: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Further keys for the runs of single tasks, in `alone` and `each`."
    )
    seeds: int = Field(
        default=1, ge=1, description="In `alone`: models of each task, of successive seeds; all are teachers."
    )


def _stages(value: Any) -> Any:
    """Names, or mappings of a name to its keys, as stages."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        raise contradiction(f"stages: {value!r}, give a list of names, or of names with keys", "stages")
    return tuple(_stage(entry) for entry in value)


def _stage(entry: Any) -> Any:
    if isinstance(entry, str):
        return {"name": entry}
    if isinstance(entry, Mapping) and "name" not in entry and len(entry) > 1:
        problem = f"stages: {', '.join(map(str, entry))} in one entry, begin a new one (-) for each stage"
        raise contradiction(problem, "stages")
    if isinstance(entry, Mapping) and "name" not in entry and len(entry) == 1:
        name, keys = next(iter(entry.items()))
        keys = dict(keys or {}) if isinstance(keys, Mapping | None) else keys
        if not isinstance(keys, dict):
            return {"name": name, "keys": keys}
        own = {key: keys.pop(key) for key in NOT_OF_RUNS if keys.get(key) is not None}
        return {"name": name, **own, "keys": keys}
    return entry


Stages = Annotated[tuple[Stage, ...], BeforeValidator(_stages)]
