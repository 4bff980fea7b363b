"""Any number of labels for a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Answer, Cell, Record, TaskType
from biomtl.tasks.types.checks import check_labels


class Multilabel(TaskType):
    """A sigmoid per label; labels with probability 0.5 (or the head option ``threshold``) or more are predicted."""

    name: ClassVar[str] = "multilabel"
    inputs: ClassVar[tuple[str, ...]] = ("text", "pair")
    answer: ClassVar[Answer] = "labels"
    gold_key: ClassVar[str] = "labels"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"labels": "texts"}
    metric: ClassVar[str] = "micro_f1"

    def check_gold(self, record: Mapping[str, Any], task: Task) -> str | None:
        """Refuses anything but a list of the task's labels, each once."""
        labels = record["labels"]
        if problem := check_labels(labels, "labels", task):
            return problem
        return f"a label given twice ({', '.join(labels)})" if len(set(labels)) != len(labels) else None

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """``[1, labels]``: 1 for the record's labels."""
        return np.array([[float(label in record["labels"]) for label in task.labels]], dtype=np.float32)

    def decode(self, outputs: NDArray[np.float32], task: Task, head: HeadChoice = DEFAULT_HEAD) -> Record:
        """``labels`` in the task's order and ``probabilities`` (label -> probability)."""
        logits = outputs[0].astype(np.float64) / head.calibrated.temperature
        probabilities = 0.5 * (1 + np.tanh(0.5 * logits))  # the sigmoid, which can't overflow
        values = {label: round(float(p), 6) for label, p in zip(task.labels, probabilities, strict=True)}
        least = head.options.get("threshold", 0.5)
        thresholds = head.calibrated.thresholds
        chosen = [label for label, p in values.items() if p >= thresholds.get(label, least)]
        return {"labels": chosen, "probabilities": values}
