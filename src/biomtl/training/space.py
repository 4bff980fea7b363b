"""The space that a study searches, as a recipe's key ``tune`` gives it; without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from biomtl.errors import nearest
from biomtl.training.options import Options, number
from biomtl.training.recipe_tasks import contradiction

NOT_SEARCHED = ("tune", "stages", "output", "predict_test", "tasks", "suite", "group", "train_on")
JUDGING = ("eval_strategy", "metric_for_best_model")  # trials that are judged differently can't be compared


class TuneRange(Options):
    """The values of a key between two ends, in ``tune``."""

    low: Annotated[float, BeforeValidator(number)]
    high: Annotated[float, BeforeValidator(number)]
    log: bool = False
    whole: bool = False


def _space(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _values(str(key), own) for key, own in value.items()}
    return value


def _values(key: str, given: Any) -> Any:
    """The values of a key, or its two ends."""
    if isinstance(given, TuneRange | tuple | list):
        return tuple(given) if isinstance(given, list) else given
    if not isinstance(given, Mapping):
        raise _problem(f"tune.{key}: {given!r}, give {{low, high}} or a list of values", key)
    for name in given:
        if name not in TuneRange.model_fields:
            hint = nearest(str(name), TuneRange.model_fields)
            raise _problem(f"tune.{key}: unknown key {name!r}, {hint}", key)
    try:
        return TuneRange.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name, said = first["loc"][0], str(first["msg"]).removeprefix("Input should be ")
        if first["type"] == "missing":
            raise _problem(f"tune.{key}: no {name}, give {{low, high}} or a list of values", key) from error
        raise _problem(f"tune.{key}: {name}: {first['input']!r}, expected {said}", key) from error


def _problem(text: str, key: str) -> PydanticCustomError:
    return contradiction(text, f"tune.{key}")


Space = Annotated[dict[str, TuneRange | tuple[Any, ...]], BeforeValidator(_space)]


def check_space(space: Mapping[str, TuneRange | tuple[Any, ...]], fields: Mapping[str, FieldInfo]) -> None:
    """Refuse a space that can't be searched.

    Args:
        space: values or ends by key, with dots for the options of a method.
        fields: the recipe's keys.

    Raises:
        PydanticCustomError: the first problem.
    """
    for key, values in space.items():
        whole, dot, _ = key.partition(".")
        if dot and whole in space:
            raise _problem(f"tune names both {whole} and {key}, leave one out", key)
        known: Mapping[str, FieldInfo] = fields
        takes: Any = None
        for part in key.split("."):
            if part not in known or part in (*NOT_SEARCHED, *JUDGING):
                text = f"tune names {key!r}, which is not a recipe key that can be searched"
                other = [name for name in known if name not in (*NOT_SEARCHED, *JUDGING)]
                hint = nearest(part, other) if other and part not in known else "leave it out"
                raise _problem(f"{text}, {hint}", key)
            takes = known[part].annotation
            kinds = [k for k in get_args(takes) if isinstance(k, type) and issubclass(k, BaseModel)]
            known = kinds[0].model_fields if kinds else {}
        if isinstance(values, tuple):
            if len(values) < 2:
                raise _problem(f"tune.{key}: {len(values)} value, give two or more", key)
        elif not values.low < values.high:
            raise _problem(f"tune.{key}: low {values.low:g} is not below high {values.high:g}", key)
        elif values.log and values.low <= 0:
            raise _problem(f"tune.{key}: log needs a low above 0", key)
        elif values.whole and not (values.low.is_integer() and values.high.is_integer()):
            raise _problem(f"tune.{key}: whole needs whole numbers for low and high", key)
        elif not values.whole and _holds(takes, int) and not _holds(takes, float):
            raise _problem(f"tune.{key} takes whole numbers, add whole: true", key)


def _holds(annotation: Any, kind: type) -> bool:
    return annotation is kind or any(_holds(inner, kind) for inner in get_args(annotation))
