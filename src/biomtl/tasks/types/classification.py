"""One label of several for a text or a pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Answer, Cell, Record, TaskType
from biomtl.tasks.types.checks import unknown_label


class Classification(TaskType):
    """One of the task's labels; the prediction is the most probable one."""

    name: ClassVar[str] = "classification"
    inputs: ClassVar[tuple[str, ...]] = ("text", "pair")
    answer: ClassVar[Answer] = "label"
    gold_key: ClassVar[str] = "label"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"label": "text"}
    metric: ClassVar[str] = "accuracy"
    positive_metric: ClassVar[str | None] = "micro_f1_positive"

    def check_gold(self, record: Mapping[str, Any], task: Task) -> str | None:
        """Refuses a label that isn't one of the task's."""
        return unknown_label(record["label"], task.labels)

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """``[1]``: the label's index."""
        return np.array([task.labels.index(record["label"])], dtype=np.int64)

    def decode(self, outputs: NDArray[np.float32], task: Task, head: HeadChoice = DEFAULT_HEAD) -> Record:
        """``label`` and ``probabilities`` (label -> probability)."""
        probabilities = softmax(outputs[0] / head.calibrated.temperature)
        decisive = outputs[0].copy()
        if task.negative is not None:
            decisive[task.labels.index(task.negative)] += head.calibrated.negative_bias
        values = {label: round(float(p), 6) for label, p in zip(task.labels, probabilities, strict=True)}
        return {"label": task.labels[int(decisive.argmax())], "probabilities": values}


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Softmax over the last axis, in double precision."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)
