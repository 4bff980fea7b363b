"""Types of other packages that derive from one of ours: their records and metrics are those of its kind."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

BASIC = ("classification", "regression", "multilabel", "tagging")  # whose records this floor and scoring can read


@cache
def family(type: str) -> tuple[str, ...]:
    """The type's name, then those of the types that its class derives from, nearest first."""
    found = [type]
    if type not in BASIC:  # a package is only imported where one of its types is used
        for entry in entry_points(group="biomtl.task_types", name=type):
            found += [vars(parent)["name"] for parent in entry.load().__mro__ if "name" in vars(parent)]
    return tuple(dict.fromkeys(found))


@cache
def basic(type: str) -> str:
    """The basic type that a type is or derives from; itself where there is none."""
    return next((name for name in family(type) if name in BASIC), type)
