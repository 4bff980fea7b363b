"""The places in the training loop where a method may act."""

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
"""The model as the loop calls it, ``forward(inputs, tasks)``, wrapped for several processes where there are any."""


@dataclass
class MethodState:
    """What a method keeps from step to step: tensors, and values that JSON can hold."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


class Method:
    """A training method; a subclass overrides the places where it acts, all others do nothing.

    The constructor is the place before the run: it is called twice, once to find out whether the model suits the
    method before anything is written, so it should look and not copy.

    Args:
        value: what the recipe says under the method's key.
        model: the model to be trained, with the recipe's dropout and frozen parts in place.

    Raises:
        InputError: the method can't be applied to this model.
    """

    def __init__(self, value: Any, model: MultiTaskModel) -> None: ...

    def rate(self, name: str) -> float:
        """The factor of the learning rate of the parameter ``name``."""
        return 1.0

    def losses(self, losses: Losses, batch: Batch, forward: Forward) -> Losses:
        """Each task's mean loss in a batch, changed; called for every batch of a step, before the backward pass.

        Args:
            losses: scalars by the task's name. The loop weighs them so that a step is the same however its rows are
                dealt to batches and processes.
            batch: the batch, on the model's device.
            forward: for further passes through the model.
        """
        return losses

    def gradients(self, model: MultiTaskModel) -> None:
        """Change the gradients in place; called once per step, when they are complete and before they are clipped."""

    def after_step(self, model: MultiTaskModel) -> None:
        """Called once per step, when the optimiser has changed the weights."""

    def evaluation_weights(self, model: MultiTaskModel) -> AbstractContextManager[None]:
        """Within this context the model holds the weights that are scored on dev and saved; default the trained ones.

        On leaving it, the model holds the trained weights again to the bit.
        """
        return contextlib.nullcontext()

    def state(self) -> MethodState:
        """What a checkpoint has to keep."""
        return MethodState()

    def restore(self, state: MethodState, model: MultiTaskModel) -> None:
        """The inverse of ``state``.

        Raises:
            ValueError, KeyError, TypeError: the state is another method's or another model's.
        """


MethodTypes = Mapping[str, type[Method]]
