"""A score for a text or a pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.tasks.kinds import Cell
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, TaskType, check_head, encoded_apart, sequence_head

if TYPE_CHECKING:
    from torch import Tensor, nn

    from biomtl.encoders.base import Encoder


class Regression(TaskType):
    """Squared error in units of the score range, so that a 0-to-5 task weighs no more than a 0-to-1 task.

    Outputs are scores as the corpus writes them.
    """

    name: ClassVar[str] = "regression"
    inputs: ClassVar[tuple[str, ...]] = ("text", "pair")
    gold_key: ClassVar[str] = "score"
    gold_cells: ClassVar[Mapping[str, Cell]] = {"score": "number"}
    metric: ClassVar[str] = "pearson"
    target_dtype: ClassVar[str] = "float32"

    def target(self, record: Record, task: Task) -> NDArray[Any]:
        """``[1]``: the score."""
        return np.array([record["score"]], dtype=np.float32)

    def build_head(self, task: Task, encoder: Encoder) -> nn.Module:
        """The family's own head with one output that starts at the middle of the range.

        For two texts encoded apart, a head that starts as their cosine.
        """
        import torch

        check_head(task, "stack")
        if task.head == "stack":
            return sequence_head(task, encoder, 1)
        low, high = score_range(task)
        if encoded_apart(task, encoder):
            from biomtl.heads.pairs import ApartHead, CosineHead

            return ApartHead(CosineHead(low, high), encoder.view())
        head = sequence_head(task, encoder, 1)
        final = [m for m in head.modules() if isinstance(m, torch.nn.Linear)][-1]
        if final.bias is not None:
            torch.nn.init.constant_(final.bias, (low + high) / 2)
        return head

    def loss(self, outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
        """Mean squared error of the score divided by its range."""
        from torch.nn.functional import mse_loss

        low, high = score_range(task)
        return mse_loss(outputs.float().squeeze(-1), targets) / (high - low) ** 2

    def decode(self, outputs: NDArray[np.float32], task: Task) -> Record:
        """``score``, not clipped to the range: ranks stay as the model sees them."""
        return {"score": round(float(outputs[0, 0]), 6)}


def score_range(task: Task) -> tuple[float, float]:
    """Lowest and highest score; 0 to 1 when the task doesn't say."""
    return task.score_range or (0.0, 1.0)
