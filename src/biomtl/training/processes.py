"""The processes of a run and what each of them holds of the model: here all of it (DDP)."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from accelerate import Accelerator
from torch import Tensor

if TYPE_CHECKING:
    from biomtl.model import MultiTaskModel

FSDP = "ACCELERATE_USE_FSDP"
"""Asks for divided weights: set by ``accelerate launch --use_fsdp``; with torchrun by hand."""


class Processes(Accelerator):
    """Accelerate's object for the processes of a run, each of which holds all weights.

    `sharding.DividedProcesses` does otherwise what is defined here.
    """

    def trained(self, model: MultiTaskModel) -> MultiTaskModel:
        """The model that the loop trains: this one."""
        return model

    def gathered(self, trained: MultiTaskModel, model: MultiTaskModel) -> AbstractContextManager[None]:
        """Within this context ``model`` has the weights of the one that is trained."""
        return contextlib.nullcontext()

    def whole(self, value: Any) -> Any:
        """A tensor of the model or optimiser as it is saved; all processes have to call it."""
        return value

    def like(self, value: Tensor, other: Tensor) -> Tensor:
        """A saved tensor as it takes the place of another one."""
        return value
