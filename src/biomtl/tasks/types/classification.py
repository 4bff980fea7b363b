"""One label of several for a text or a pair."""

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


class Classification(TaskType):
    """Cross-entropy over the task's labels; the prediction is the likeliest."""

    name: ClassVar[str] = "classification"
    inputs: ClassVar[tuple[str, ...]] = ("text", "pair")
    gold_key: ClassVar[str] = "label"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"label": "text"}
    metric: ClassVar[str] = "accuracy"
    positive_metric: ClassVar[str | None] = "micro_f1_positive"

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """``[1]``: the label's index."""
        return np.array([task.labels.index(record["label"])], dtype=np.int64)

    def build_head(self, task: Task, encoder: Encoder) -> nn.Module:
        """The family's own head with one output a label."""
        return sequence_head(task, encoder, len(task.labels))

    def loss(self, outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
        """Mean cross-entropy."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs.float(), targets)

    def decode(self, outputs: NDArray[np.float32], task: Task) -> Record:
        """``label`` and ``probabilities`` (label -> probability)."""
        probabilities = softmax(outputs[0])
        values = {label: round(float(p), 6) for label, p in zip(task.labels, probabilities, strict=True)}
        return {"label": task.labels[int(outputs[0].argmax())], "probabilities": values}


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Over the last axis, in double precision."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)
