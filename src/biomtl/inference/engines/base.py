"""The protocol of engines: tasks, a text processor, and outputs for a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from biomtl.batch import Batch
from biomtl.model import MultiTaskModel
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task
from biomtl.text.base import TextProcessor


class Engine(Protocol):
    """A trained model, whatever computes its outputs."""

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks by name."""
        ...

    @property
    def choices(self) -> Mapping[str, HeadChoice]:
        """The choice of head for each task."""
        ...

    @property
    def processor(self) -> TextProcessor:
        """Turns text into the encoder's input."""
        ...

    def outputs(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """Every task's outputs ``[outputs, labels]``, in the order of examples, each with its ``output_counts``."""
        ...


Model = MultiTaskModel | Engine


def as_engine(model: Model, *, bf16: bool = False) -> Engine:
    """An engine, unchanged, or a model wrapped in the torch engine.

    Args:
        model: either.
        bf16: whether torch computes in bfloat16.
    """
    from biomtl.inference.engines.torch import TorchEngine

    return TorchEngine(model, bf16=bf16) if isinstance(model, MultiTaskModel) else model
