"""Cross-entropy with smoothed labels, weighted labels, or less weight on easy examples."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from biomtl.errors import InputError
from biomtl.heads.soft import Candidates, Classes, Labels, Soft, is_plain, soft_of
from biomtl.training.label_weights import label_counts, label_factors
from biomtl.training.methods.base import Answers, Course, Losses, Method
from biomtl.training.options import ObjectiveOptions

if TYPE_CHECKING:
    from biomtl.batch import Batch
    from biomtl.heads.rows import TaskRows
    from biomtl.model import MultiTaskModel


class Objective(Method):
    """``objective``: label smoothing, class weights and focal loss, for the tasks with labels.

    Label smoothing: Szegedy et al. (2016, arXiv 1512.00567). Focal loss: Lin et al. (2017, arXiv 1708.02002).
    An output's loss is ``- sum over labels c of w_c q_c (1 - p_c)^gamma log p_c``, where q is the smoothed gold
    distribution; for several labels at once it is the same for each label and its absence. Weights have mean 1 over the
    training outputs.

    Args:
        value: the options.
        model: the model.
        only: the tasks that it is for; default all with labels.

    Raises:
        InputError: no task has labels, or a head with a loss of its own.
    """

    key = "objective"

    def __init__(self, value: ObjectiveOptions, model: MultiTaskModel, only: Collection[str] | None = None) -> None:
        self.options = value
        self.kinds: dict[str, Soft] = {}
        for name, task in model.tasks.items():
            soft = soft_of(task) if only is None or name in only else None
            if isinstance(soft, Classes | Labels) and not isinstance(soft, Candidates):
                if not is_plain(model.head(name)):
                    problem = f"{self.key}: the head of {name} has its own loss (crf, class_weights or loss)"
                    raise InputError(problem, fix=f"leave out {self.key}, or these options of the task")
                self.kinds[name] = soft
        if not self.kinds:
            raise InputError("objective: no task has labels", fix="leave it out")
        self.weights: dict[str, Tensor] = {}

    def begin(self, course: Course, model: MultiTaskModel) -> None:
        """Count the labels in training."""
        if self.options.class_weights is None:
            return
        device = next(model.parameters()).device
        for name in self.kinds.keys() & course.data.mixer.tasks:  # the model may have further heads
            counts = label_counts(course.data.examples, model.tasks[name])
            factors = label_factors(counts, self.options.class_weights)
            self.weights[name] = torch.tensor(factors, dtype=torch.float32, device=device)

    def losses(self, losses: Losses, answers: Answers, batch: Batch, model: MultiTaskModel) -> Losses:
        """Compute these tasks' losses anew."""
        changed = dict(losses)
        for name in losses.keys() & self.kinds.keys():
            rows, soft = batch.tasks[name], self.kinds[name]
            values = self._each(name, soft, answers[name].outputs, rows)
            changed[name] = soft.mean(values, rows)
        return changed

    def _each(self, name: str, soft: Soft, outputs: Tensor, rows: TaskRows) -> Tensor:
        gold = soft.gold(outputs, rows)
        several = isinstance(soft, Labels)
        if several:  # each label and its absence: [outputs, labels, 2]
            gold = torch.stack([gold, 1 - gold], -1)
            surprise = -torch.stack([outputs.float(), -outputs.float()], -1).sigmoid().clamp(min=1e-30).log()
        else:
            surprise = -outputs.float().log_softmax(-1)
        smoothing, gamma = self.options.label_smoothing, self.options.focal_gamma
        target = (1 - smoothing) * gold + smoothing / gold.shape[-1]
        values = target * surprise
        if gamma:
            values = values * (1 - (-surprise).exp()).clamp(min=0) ** gamma
        if name in self.weights:
            values = values * self.weights[name]
        return values.sum(-1).mean(-1) if several else values.sum(-1)


class ClassWeights(Objective):
    """``rebalance: class_weights`` of single tasks: factors by inverse frequency.

    Raises:
        InputError: a head with a loss of its own.
    """

    key = "rebalance: class_weights"

    def __init__(self, value: Collection[str], model: MultiTaskModel) -> None:
        super().__init__(ObjectiveOptions(class_weights="balanced"), model, value)
