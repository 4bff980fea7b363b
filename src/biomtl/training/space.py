"""The space that a study searches, as a recipe's key ``tune`` gives it; without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from biomtl.training.options import Options, number

NOT_SEARCHED = ("tune", "stages", "output", "tasks")


class TuneRange(Options):
    """The values of a key between two ends, in ``tune``."""

    low: Annotated[float, BeforeValidator(number)]
    high: Annotated[float, BeforeValidator(number)]
    log: bool = False
    whole: bool = False


def _space(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: tuple(own) if isinstance(own, list) else own for key, own in value.items()}
    return value


Space = Annotated[dict[str, TuneRange | tuple[Any, ...]], BeforeValidator(_space)]


def space_problem(space: Mapping[str, TuneRange | tuple[Any, ...]], fields: Mapping[str, FieldInfo]) -> str | None:
    """What is wrong with a space, if anything.

    Args:
        space: values or ends by key, with dots for the options of a method.
        fields: the recipe's keys.
    """
    for key, values in space.items():
        known: Mapping[str, FieldInfo] = fields
        for part in key.split("."):
            if part not in known or part in NOT_SEARCHED:
                return f"tune names {key!r}, which is not a recipe key that can be searched"
            kinds = [k for k in get_args(known[part].annotation) if isinstance(k, type) and issubclass(k, BaseModel)]
            known = kinds[0].model_fields if kinds else {}
        if isinstance(values, tuple):
            if len(values) < 2:
                return f"tune.{key}: {len(values)} value, give two or more"
        elif not values.low < values.high:
            return f"tune.{key}: low {values.low:g} is not below high {values.high:g}"
        elif values.log and values.low <= 0:
            return f"tune.{key}: log needs a low above 0"
    return None
