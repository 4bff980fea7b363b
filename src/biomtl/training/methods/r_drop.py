"""Two passes with different dropout that are to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biomtl.errors import InputError
from biomtl.heads.named import divergence_of
from biomtl.heads.soft import soft_of
from biomtl.training.methods.base import Answers, Losses, Method

if TYPE_CHECKING:
    from biomtl.batch import Batch
    from biomtl.model import MultiTaskModel


class RDrop(Method):
    """``r_drop``: the factor of the divergence between the outputs of two passes with different dropout masks.

    R-Drop of Liang et al. (2021, arXiv 2106.14448): a task's loss is the mean of both passes' losses plus the factor
    times the mean of both Kullback-Leibler divergences (for scores the squared difference, for several labels the mean
    over labels), or the task's ``divergence``.

    Raises:
        InputError: a task of a type whose outputs are unknown.
    """

    def __init__(self, value: float, model: MultiTaskModel) -> None:
        self.weight = value
        self.kinds = {name: soft_of(task) for name, task in model.tasks.items()}
        self.apart = {name: divergence_of(task, model.head(name)) for name, task in model.tasks.items()}
        for name, soft in self.kinds.items():
            if soft is None:
                problem = f"r_drop: outputs of type {model.tasks[name].type} can't be compared ({name})"
                raise InputError(problem, fix="leave r_drop out")

    def losses(self, losses: Losses, answers: Answers, batch: Batch, model: MultiTaskModel) -> Losses:
        """Run the batch again."""
        again = model(batch.inputs, batch.tasks)
        changed = {}
        for name, loss in losses.items():
            soft, divergence = self.kinds[name], self.apart[name]
            rows, second = batch.tasks[name], again[name]
            assert soft is not None
            assert divergence is not None
            assert second.loss is not None
            apart = soft.mean(divergence(answers[name].outputs, second.outputs, rows), rows)
            changed[name] = (loss + second.loss) / 2 + self.weight * apart
        return changed
