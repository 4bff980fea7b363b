"""The points in the training loop where a method may act."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from biomtl.batch import Batch
    from biomtl.model import MultiTaskModel

Losses = dict[str, Tensor]
Forward = Callable[..., Any]
"""The model as called by the loop, ``forward(inputs, tasks)``, wrapped if there are several processes."""


@dataclass
class MethodState:
    """A method's state between steps: tensors, and values that JSON can hold."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


class Method:
    """A training method. A subclass overrides the points where it acts; all others do nothing.

    The constructor runs before the run. It is called twice, the first time to check that the method suits the model
    before anything is written, so it should inspect and not copy.

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

    def losses(self, losses: Losses, batch: Batch, forward: Forward) -> Losses:
        """Change each task's mean loss in a batch; called for every batch of a step, before the backward pass.

        Args:
            losses: scalars by task name. The loop weights them so that a step is the same however its rows are
                distributed over batches and processes.
            batch: the batch, on the model's device.
            forward: for further passes through the model.
        """
        return losses

    def gradients(self, model: MultiTaskModel) -> None:
        """Change the gradients in place; called once per step, after they are complete and before clipping."""

    def after_step(self, model: MultiTaskModel) -> None:
        """Called once per step, after the optimiser has changed the weights."""

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


MethodTypes = Mapping[str, type[Method]]
