"""Early stopping of single tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import functional_call

from biomtl.errors import InputError
from biomtl.heads.soft import is_plain, soft_of
from biomtl.training.methods.base import Answers, Losses, Method, MethodState, trained_names
from biomtl.training.methods.smart import evaluating
from biomtl.training.options import TaskStoppingOptions

if TYPE_CHECKING:
    from biomtl.batch import Batch
    from biomtl.model import MultiTaskModel


class TaskStopping(Method):
    """``task_stopping``: a task whose dev score hasn't risen for ``patience`` evaluations has peaked.

    ``then: freeze`` takes its loss out of the run and leaves its head as it is. ``then: distill`` trains it on the
    outputs that the weights of its best evaluation give, which hold it there while other tasks go on: knowledge
    distillation (Hinton et al. 2015, arXiv 1503.02531) from the model's own past, as in born-again networks (Furlanello
    et al. 2018, arXiv 1805.04770).

    Raises:
        InputError: a task that can't be distilled (a CRF, a type of unknown outputs).
    """

    def __init__(self, value: TaskStoppingOptions, model: MultiTaskModel) -> None:
        self.options = value
        self.names = trained_names(model)
        self.best: dict[str, float] = {}
        self.stale: dict[str, int] = {}
        self.kept: dict[str, dict[str, Tensor]] = {}
        """Of each task, the trained weights of its best evaluation."""
        self.kinds = {name: soft_of(task) for name, task in model.tasks.items()}
        for name, soft in self.kinds.items():
            if value.then == "distill" and (soft is None or not is_plain(model.head(name))):
                problem = f"task_stopping: {name} can't be distilled (its head has its own loss)"
                raise InputError(problem, fix="use then: freeze")

    @property
    def stopped(self) -> set[str]:
        """The tasks that have peaked."""
        return {name for name, stale in self.stale.items() if stale >= self.options.patience}

    def factor(self, task: str) -> float:
        """0 for a task that is no longer trained."""
        return 0.0 if self.options.then == "freeze" and task in self.stopped else 1.0

    def losses(self, losses: Losses, answers: Answers, batch: Batch, model: MultiTaskModel) -> Losses:
        """Replace the losses of tasks that are held at their best."""
        changed = dict(losses)
        if self.options.then == "freeze":
            return changed
        for name in losses.keys() & self.stopped:
            soft, rows = self.kinds[name], batch.tasks[name]
            assert soft is not None
            with torch.no_grad(), evaluating(model):
                outputs = functional_call(model, self.kept[name], (batch.inputs, {name: rows}))[name].outputs
                target = soft.probabilities(outputs)
            changed[name] = soft.mean(soft.loss(answers[name].outputs, target, rows), rows)
        return changed

    def gradients(self, model: MultiTaskModel) -> None:
        """Keep the optimiser's momentum from moving a head that is no longer trained."""
        if self.options.then == "freeze":
            for name in self.stopped:
                for weight in model.head(name).parameters():
                    weight.grad = None

    def after_evaluation(self, scores: Mapping[str, float], step: int, model: MultiTaskModel) -> None:
        """Compare each task's score with its best."""
        for name, score in scores.items():
            if name in self.stopped:
                continue
            if name not in self.best or score > self.best[name]:
                self.best[name], self.stale[name] = score, 0
                if self.options.then == "distill":
                    weights = dict(model.named_parameters())
                    self.kept[name] = {key: weights[key].detach().clone() for key in self.names}
            else:
                self.stale[name] += 1

    def state(self) -> MethodState:
        """Scores, counts and kept weights."""
        tensors = {f"{task}/{name}": value for task, own in self.kept.items() for name, value in own.items()}
        return MethodState(tensors, {"best": self.best, "stale": self.stale})

    def restore(self, state: MethodState, model: MultiTaskModel) -> None:
        """Take them up."""
        device = next(model.parameters()).device
        self.best, self.stale = dict(state.values["best"]), dict(state.values["stale"])
        self.kept = {}
        for key, value in state.tensors.items():
            task, _, name = key.partition("/")
            self.kept.setdefault(task, {})[name] = value.to(device)
