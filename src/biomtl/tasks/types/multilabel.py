"""Any number of labels for a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.kinds import Cell
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, TaskType, sequence_head

if TYPE_CHECKING:
    from torch import Tensor, nn

    from biomtl.encoders.base import Encoder


class Multilabel(TaskType):
    """A sigmoid a label; every label of probability 0.5 or more is predicted (or the head option ``threshold``)."""

    name: ClassVar[str] = "multilabel"
    inputs: ClassVar[tuple[str, ...]] = ("text", "pair")
    gold_key: ClassVar[str] = "labels"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"labels": "texts"}
    metric: ClassVar[str] = "micro_f1"
    target_dtype: ClassVar[str] = "float32"

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """``[1, labels]``: 1 where the label holds."""
        return np.array([[float(label in record["labels"]) for label in task.labels]], dtype=np.float32)

    def build_head(self, task: Task, encoder: Encoder) -> nn.Module:
        """The family's own head with one output a label."""
        return sequence_head(task, encoder, len(task.labels))

    def loss(self, outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
        """Binary cross-entropy, averaged over the labels as over the texts.

        The mean, as the stock heads have it: a sum over HoC's ten labels would have ten times the gradient, which in a
        joint run outweighs the other tasks.
        """
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(outputs.float(), targets)

    def decode(self, outputs: NDArray[np.float32], task: Task) -> Record:
        """``labels`` in the task's order and ``probabilities`` (label -> probability)."""
        probabilities = 0.5 * (1 + np.tanh(0.5 * outputs[0].astype(np.float64)))  # the sigmoid, which can't overflow
        values = {label: round(float(p), 6) for label, p in zip(task.labels, probabilities, strict=True)}
        least = task.head_options.get("threshold", 0.5)
        return {"labels": [label for label, p in values.items() if p >= least], "probabilities": values}
