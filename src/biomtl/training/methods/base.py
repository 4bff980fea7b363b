"""The points in the training loop where a method may act."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from biomtl.batch import Batch
    from biomtl.heads.base import HeadOutput
    from biomtl.model import MultiTaskModel
    from biomtl.training.data import TrainingData
    from biomtl.training.recipe import Recipe

Losses = dict[str, Tensor]
Answers = Mapping[str, "HeadOutput"]


@dataclass(frozen=True)
class Course:
    """What is known of a run before its first step.

    Attributes:
        recipe: the recipe.
        data: the training data.
        total: the number of steps.
    """

    recipe: Recipe
    data: TrainingData
    total: int


@dataclass
class MethodState:
    """A method's state between steps: tensors, and values that JSON can hold."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


class Method:
    """A training method. A subclass overrides the points where it acts; all others do nothing.

    The constructor is called twice, the first time to check that the method suits the model before anything is
    written, so it should inspect and not copy.

    Args:
        value: the recipe's value for the method's key.
        model: the model to be trained, with the recipe's dropout and frozen parts already set.

    Raises:
        InputError: the method can't be applied to this model.
    """

    def __init__(self, value: Any, model: MultiTaskModel) -> None: ...

    def rate(self, name: str) -> float:
        """The learning-rate factor of the parameter ``name``."""
        return 1.0

    def begin(self, course: Course, model: MultiTaskModel) -> None:
        """Called once, before the first step or the loading of a checkpoint."""

    def before_step(self, step: int, model: MultiTaskModel) -> None:
        """Called before each step; ``step`` counts those that are done."""

    def factor(self, task: str) -> float:
        """The factor of a task's loss in the coming step, beside its weight and its share of the examples."""
        return 1.0

    def losses(self, losses: Losses, answers: Answers, batch: Batch, model: MultiTaskModel) -> Losses:
        """Change each task's mean loss in a batch; called for every batch of a step, before the backward pass.

        Args:
            losses: scalars by task name. The loop weights them so that a step is the same however its rows are
                distributed over batches and processes.
            answers: the heads' outputs, which the losses were computed from.
            batch: the batch, on the model's device.
            model: for further passes over the same rows; it is the bare model, as several processes exchange gradients
                in the backward pass and only one forward pass may announce it.
        """
        return losses

    def before_backward(self, losses: Losses, model: MultiTaskModel) -> None:
        """Called for every batch with the losses as they will be added, each with its final weight in the step."""

    def gradients(self, model: MultiTaskModel) -> None:
        """Change the gradients in place; called once per step, after they are complete and before clipping."""

    def after_step(self, model: MultiTaskModel, losses: Mapping[str, float]) -> None:
        """Called once per step, after the optimiser has changed the weights.

        Args:
            model: the model.
            losses: the mean loss of each of the step's tasks, the same in all processes.
        """

    def after_evaluation(self, scores: Mapping[str, float], step: int, model: MultiTaskModel) -> None:
        """Called after each scoring of dev, with the weights that were scored.

        Args:
            scores: the main metric of each task that is still trained, with the sign that makes higher better.
            step: the number of steps done.
            model: the model.
        """

    def evaluation_weights(self, model: MultiTaskModel) -> AbstractContextManager[None]:
        """Within this context the model holds the weights to score on dev and save; default the trained ones.

        Afterwards the model has exactly the trained weights again.
        """
        return contextlib.nullcontext()

    def state(self) -> MethodState:
        """The state to save in a checkpoint."""
        return MethodState()

    def restore(self, state: MethodState, model: MultiTaskModel) -> None:
        """The inverse of ``state``.

        Raises:
            ValueError, KeyError, TypeError: the state belongs to another method or model.
        """


def trained_names(model: MultiTaskModel) -> list[str]:
    """The parameters that the run trains, also those that a method lets begin later."""
    return [name for name, weight in model.named_parameters() if weight.requires_grad]


MethodTypes = Mapping[str, type[Method]]
