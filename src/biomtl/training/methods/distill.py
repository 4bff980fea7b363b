"""Teachers' outputs as targets beside gold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from biomtl.errors import InputError
from biomtl.heads.named import loss_against, named_loss
from biomtl.heads.soft import Soft, is_plain, soft_of
from biomtl.training.methods.base import Answers, Course, Losses, Method
from biomtl.training.options import DistillOptions
from biomtl.training.teaching import teachers_of

if TYPE_CHECKING:
    from biomtl.batch import Batch
    from biomtl.model import MultiTaskModel


class Distillation(Method):
    """``distill``: each output's target is a mixture of gold and what the task's teachers say.

    Born-again multi-task networks with teacher annealing (Clark et al. 2019, arXiv 1907.04829): the share of gold rises
    linearly over the run, from the teachers alone to gold alone. A text without gold, which belongs to another task,
    has the teachers' outputs as its target throughout. Targets are mixed, not losses, so the loss is the task's own:
    cross-entropy for labels and tags, squared error for scores, or the task's ``loss``.

    Raises:
        InputError: a task with teachers that can't be distilled (a CRF, a loss of its own, a type of unknown outputs).
    """

    def __init__(self, value: DistillOptions, model: MultiTaskModel) -> None:
        self.options, self.total = value, 1
        self.gold = value.gold_from
        self.kinds = students(teachers_of(value, model.tasks), model)

    def begin(self, course: Course, model: MultiTaskModel) -> None:
        """Learn the length of the run."""
        self.total = course.total

    def before_step(self, step: int, model: MultiTaskModel) -> None:
        """Set the share of gold."""
        done = step / max(1, self.total - 1)
        self.gold = self.options.gold_from + (self.options.gold_to - self.options.gold_from) * min(1.0, done)

    def losses(self, losses: Losses, answers: Answers, batch: Batch, model: MultiTaskModel) -> Losses:
        """Compute the taught tasks' losses anew."""
        changed = dict(losses)
        for name in losses.keys() & self.kinds.keys():
            rows, soft, outputs = batch.tasks[name], self.kinds[name], answers[name].outputs
            if rows.taught is None or rows.labelled is None:
                continue
            taught = rows.taught[:, : outputs.shape[1]]
            gold = soft.gold(outputs, rows)
            share = (self.gold * rows.labelled.float()).unsqueeze(-1)
            target = share * gold + (1 - share) * taught
            changed[name] = soft.mean(loss_against(model.head(name), soft)(outputs, target, rows), rows)
        return changed


def students(names: Iterable[str], model: MultiTaskModel) -> dict[str, Soft]:
    """How the outputs of these tasks are read, which are to learn from teachers.

    Raises:
        InputError: one that can't.
    """
    kinds: dict[str, Soft] = {}
    for name in names:
        soft, head = soft_of(model.tasks[name]), model.head(name)
        if soft is None or not (is_plain(head) or named_loss(head) is not None):
            problem = f"distill: {name} can't be distilled (a crf, class_weights or another loss of its own)"
            raise InputError(problem, fix="give it a head without these, or teachers only to the other tasks")
        kinds[name] = soft
    return kinds
