"""Losses and divergences by name: of a task's outputs against gold or a teacher, and between two passes.

``p`` are the outputs and ``q`` the target as distributions, of one label among several, of each label and its absence
(then the mean over the labels), or of an answer's first and last word over the words of its text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from biomtl.errors import InputError
from biomtl.heads.base import Head
from biomtl.heads.rows import TaskRows
from biomtl.heads.soft import Labels, Scores, Soft, Spans, is_plain, soft_of
from biomtl.tasks.task import Task

FLOOR = 1e-6  # the least probability of a label in a logarithm, as gold has labels of probability 0


def _log(p: Tensor) -> Tensor:
    return p.clamp(min=FLOOR).log()


def _kl(p: Tensor, q: Tensor) -> Tensor:
    return q * (_log(q) - _log(p))


def _sym_kl(p: Tensor, q: Tensor) -> Tensor:
    return _kl(p, q) + _kl(q, p)


def _js(p: Tensor, q: Tensor) -> Tensor:
    middle = (p + q) / 2
    return (_kl(middle, p) + _kl(middle, q)) / 2


def _hellinger(p: Tensor, q: Tensor) -> Tensor:
    # The root's slope is infinite at 0.
    return (p.clamp(min=FLOOR).sqrt() - q.clamp(min=FLOOR).sqrt()).square() / 2


def _mse(p: Tensor, q: Tensor) -> Tensor:
    return (p - q).square()


SUMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": _mse,
    "sym_kl": _sym_kl,
    "js": _js,
    "hellinger": _hellinger,
}
"""Losses that are a sum over labels."""
LOSSES = ("cross_entropy", *SUMS, "cosine")


def loss_names(soft: Soft) -> tuple[str, ...]:
    """The losses that outputs of a kind may have, their own one first."""
    if isinstance(soft, Scores):
        return ("mse",)
    return tuple(name for name in LOSSES if name != "cosine" or not isinstance(soft, Spans))


def compare(soft: Soft, name: str, outputs: Tensor, target: Tensor, rows: TaskRows) -> Tensor:
    """``[outputs]``: the loss of outputs against a target in the form of `Soft.gold`.

    Args:
        soft: the kind of outputs.
        name: one of `loss_names`. ``mse`` is the sum of ``(p - q)^2``, ``sym_kl`` ``KL(q||p) + KL(p||q)``, ``js`` the
            Jensen-Shannon divergence, ``hellinger`` half the sum of ``(sqrt p - sqrt q)^2``, ``cosine`` ``1 - cos(p,
            q)``.
        outputs: the head's.
        target: gold or a teacher's.
        rows: the task's rows.
    """
    if name == loss_names(soft)[0]:
        return soft.loss(outputs, target, rows)
    p, q = soft.distributions(soft.probabilities(outputs)), soft.distributions(target)
    each = 1 - torch.cosine_similarity(p, q, dim=-1) if name == "cosine" else SUMS[name](p, q).sum(-1)
    return each.mean(-1) if isinstance(soft, Labels) else each


@dataclass(frozen=True)
class NamedLoss:
    """A head's loss by name: the task's mean over its outputs."""

    soft: Soft
    name: str

    def __call__(self, outputs: Tensor, rows: TaskRows) -> Tensor:
        """Against gold."""
        return self.soft.mean(self.against(outputs, self.soft.gold(outputs, rows), rows), rows)

    def against(self, outputs: Tensor, target: Tensor, rows: TaskRows) -> Tensor:
        """``[outputs]``: against any target."""
        return compare(self.soft, self.name, outputs, target, rows)


@dataclass(frozen=True)
class Divergence:
    """How two passes of a task are compared; by default the mean of both Kullback-Leibler divergences."""

    soft: Soft
    name: str | None

    def __call__(self, first: Tensor, second: Tensor, rows: TaskRows) -> Tensor:
        """``[outputs]``."""
        if self.name is None:
            return self.soft.divergence(first, second, rows)
        return compare(self.soft, self.name, second, self.soft.probabilities(first), rows)


def set_loss(task: Task, head: Head, name: str | None, divergence: str | None = None) -> None:
    """Give a head a loss by name, and the divergence by which methods compare its passes.

    Raises:
        InputError: a type without this loss, or a head with a loss of its own.
    """
    soft = soft_of(task)
    for key, chosen in (("loss", name), ("divergence", divergence)):
        if chosen is None:
            continue
        known = () if soft is None else loss_names(soft)
        if key == "divergence":
            known = tuple(other for other in known if other != "cross_entropy")
        if chosen not in known:
            expected = ", ".join(known) or "none"
            raise InputError(f"task {task.name}: {key} {chosen} for type {task.type}", expected=expected)
    if name is not None:
        assert soft is not None
        if not is_plain(head) and named_loss(head) is None:
            problem = f"task {task.name}: loss {name} for a head with its own loss (crf, class_weights or compare)"
            raise InputError(problem, fix="leave out one of them")
        if name != loss_names(soft)[0]:
            head.objective = NamedLoss(soft, name)
    head.divergence = divergence


def divergence_of(task: Task, head: Head) -> Divergence | None:
    """How a head's passes are compared; ``None`` for a type of unknown outputs."""
    soft = soft_of(task)
    return None if soft is None else Divergence(soft, head.divergence)


def named_loss(head: Head) -> NamedLoss | None:
    """The head's loss by name, if it has one."""
    objective = head.objective
    return objective if isinstance(objective, NamedLoss) else None


def loss_against(head: Head, soft: Soft) -> Callable[[Tensor, Tensor, TaskRows], Tensor]:
    """The head's loss ``[outputs]`` against any target."""
    named = named_loss(head)
    return soft.loss if named is None else named.against
