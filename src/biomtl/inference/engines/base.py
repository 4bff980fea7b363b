"""The protocol of engines: tasks, a text processor, and outputs for a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from biomtl.batch import Batch
from biomtl.heads.rows import TaskRows
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task
from biomtl.text.base import TextProcessor

Outputs = dict[str, NDArray[np.float32]]
"""Every task's outputs ``[outputs, labels]``, in the order of examples, each with its ``output_counts``."""


@dataclass(slots=True)
class Passes:
    """What an engine's encoder has read: batches, their rows, and the rows' positions without padding."""

    batches: int = 0
    rows: int = 0
    positions: int = 0

    def add(self, batch: Batch) -> None:
        """Count a batch, or the rows of one that some tasks read."""
        self.batches += 1
        self.rows += len(batch.inputs["attention_mask"])
        self.positions += batch.real_tokens


class Engine(Protocol):
    """A trained model, whatever computes its outputs.

    A batch is encoded once, and tasks are read from it as often as needed: what is asked second may depend on the
    first answers, as the pairs of a sentence do on its mentions.
    """

    keeps_states: bool
    """Whether ``outputs`` reads what ``encode`` computed; otherwise every call of it is an encoder pass of its own."""
    passes: Passes

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

    def drop_calibration(self) -> None:
        """Take outputs as they are, without temperatures and thresholds."""
        ...

    def encode(self, batch: Batch) -> Any:
        """Whatever ``outputs`` needs of a batch: an encoder's states, or the batch itself."""
        ...

    def outputs(self, encoded: Any, tasks: Mapping[str, TaskRows]) -> Outputs:
        """Outputs of any of the model's tasks.

        Args:
            encoded: the result of ``encode``.
            tasks: what each task reads of that batch's rows.
        """
        ...
