"""Training methods: small objects that act at defined points of the loop, off unless the recipe sets their key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biomtl.training.methods.base import Course, Method, MethodState, MethodTypes
from biomtl.training.methods.distill import Distillation
from biomtl.training.methods.ema import WeightAverage
from biomtl.training.methods.gradient_aggregation import GradientAggregation
from biomtl.training.methods.layer_decay import LayerDecay
from biomtl.training.methods.loss_balance import LossBalance
from biomtl.training.methods.need_sampling import NeedSampling
from biomtl.training.methods.objective import ClassWeights, Objective
from biomtl.training.methods.r_drop import RDrop
from biomtl.training.methods.smart import Smart
from biomtl.training.methods.task_stopping import TaskStopping
from biomtl.training.methods.thawing import GradualThawing

if TYPE_CHECKING:
    from biomtl.model import MultiTaskModel

__all__ = ["METHODS", "Course", "Method", "MethodState", "make_methods"]

METHODS: MethodTypes = {
    "layer_decay": LayerDecay,
    "gradual_thawing": GradualThawing,
    "loss_balance": LossBalance,
    "objective": Objective,
    "distill": Distillation,
    "r_drop": RDrop,
    "smart": Smart,
    "gradient_aggregation": GradientAggregation,
    "task_stopping": TaskStopping,
    "need_sampling": NeedSampling,
    "ema_decay": WeightAverage,
}
"""Recipe key to method, in the order of application."""


def make_methods(recipe: Any, model: MultiTaskModel) -> dict[str, Method]:
    """The methods that a recipe turns on, by key.

    Raises:
        InputError: one of them can't be applied to this model.
    """
    given = {key: getattr(recipe, key) for key in METHODS}
    methods = {key: METHODS[key](value, model) for key, value in given.items() if value is not None}
    weighted = [name for name, options in recipe.tasks.items() if options.rebalance == "class_weights"]
    return {"rebalance": ClassWeights(weighted, model), **methods} if weighted else methods
