"""Training methods: small objects that act at defined points of the loop, off unless the recipe sets their key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biomtl.training.methods.base import Method, MethodState, MethodTypes
from biomtl.training.methods.ema import WeightAverage
from biomtl.training.methods.layer_decay import LayerDecay

if TYPE_CHECKING:
    from biomtl.model import MultiTaskModel

__all__ = ["METHODS", "Method", "MethodState", "make_methods"]

METHODS: MethodTypes = {"layer_decay": LayerDecay, "ema_decay": WeightAverage}
"""Recipe key to method, in the order of application."""


def make_methods(recipe: Any, model: MultiTaskModel) -> dict[str, Method]:
    """The methods that a recipe turns on, by key.

    Raises:
        InputError: one of them can't be applied to this model.
    """
    given = {key: getattr(recipe, key) for key in METHODS}
    return {key: METHODS[key](value, model) for key, value in given.items() if value is not None}
