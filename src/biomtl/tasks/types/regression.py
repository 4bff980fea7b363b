"""A score for a text or a pair."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Answer, Cell, Record, TaskType

MOST = 1e38  # largest score: heads learn in float32, and an integer in JSON may be too large even for a float


class Regression(TaskType):
    """A score on the corpus's scale; the loss is in units of its range, so that 0 to 5 weighs no more than 0 to 1."""

    name: ClassVar[str] = "regression"
    inputs: ClassVar[tuple[str, ...]] = ("text", "pair")
    answer: ClassVar[Answer] = "score"
    gold_key: ClassVar[str] = "score"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"score": "number"}
    metric: ClassVar[str] = "pearson"

    def check_gold(self, record: Mapping[str, Any], task: Task) -> str | None:
        """Refuses anything but a number in the task's range."""
        score = record["score"]
        if isinstance(score, bool) or not isinstance(score, int | float):
            return f"score is a {type(score).__name__}, expected a number"
        if not abs(score) < MOST:  # NaN isn't either
            return f"score is {score!s:.20}, expected a number"
        low, high = task.score_range or (-math.inf, math.inf)
        return None if low <= score <= high else f"score {score:g}, expected {low:g} to {high:g}"

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """``[1]``: the score."""
        return np.array([record["score"]], dtype=np.float32)

    def decode(self, outputs: NDArray[np.float32], task: Task, head: HeadChoice = DEFAULT_HEAD) -> Record:
        """``score``, not clipped to the range, so that ranks are kept."""
        return {"score": round(float(outputs[0, 0]), 6)}


def score_range(task: Task) -> tuple[float, float]:
    """Lowest and highest score; 0 to 1 if the task has none."""
    return task.score_range or (0.0, 1.0)
