"""A task's outputs as distributions, for losses against a teacher, a second pass or smoothed labels.

Each kind of output has its probabilities, its gold as probabilities, a loss against any such target, and a divergence
of two outputs. All are per output, ``[outputs]``; a task's mean is their sum over the outputs that count, divided by
``rows.loss_denominator``, as in the head's own loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from biomtl.heads.base import Head
from biomtl.heads.losses import (
    SquaredError,
    binary_cross_entropy,
    targets_of,
    text_cross_entropy,
    weighted_mean,
    word_cross_entropy,
)
from biomtl.heads.rows import TaskRows
from biomtl.heads.words import span_loss
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of
from biomtl.tasks.types.regression import score_range


class Soft(ABC):
    """One kind of outputs."""

    @abstractmethod
    def probabilities(self, outputs: Tensor) -> Tensor:
        """``[outputs, labels]`` as a target for `loss`."""

    @abstractmethod
    def gold(self, outputs: Tensor, rows: TaskRows) -> Tensor:
        """The gold values in the same form; ``outputs`` gives the shape."""

    @abstractmethod
    def loss(self, outputs: Tensor, target: Tensor, rows: TaskRows) -> Tensor:
        """``[outputs]``; against gold it is the head's own loss."""

    def divergence(self, first: Tensor, second: Tensor, rows: TaskRows) -> Tensor:
        """``[outputs]``: the mean of both Kullback-Leibler divergences (of scores: the squared difference)."""
        one, other = self.probabilities(first), self.probabilities(second)
        # With H the loss: KL(p||q) + KL(q||p) = H(p, q) - H(p, p) + H(q, p) - H(q, q).
        there = self.loss(second, one, rows) - self.loss(first, one, rows)
        back = self.loss(first, other, rows) - self.loss(second, other, rows)
        return (there + back) / 2

    def distributions(self, probabilities: Tensor) -> Tensor:
        """``[outputs, …, n]``: the same, as distributions over the last dimension."""
        return probabilities

    def mean(self, values: Tensor, rows: TaskRows) -> Tensor:
        """The task's mean of ``[outputs]`` over those that count, each times the weight of its row."""
        return weighted_mean(values * counted(rows), rows)


class Classes(Soft):
    """One of several labels, per text, per word or per pair of mentions."""

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Softmax."""
        return outputs.float().softmax(-1)

    def gold(self, outputs: Tensor, rows: TaskRows) -> Tensor:
        """One-hot."""
        return functional.one_hot(targets_of(rows).clamp(min=0), outputs.shape[-1]).float()

    def loss(self, outputs: Tensor, target: Tensor, rows: TaskRows) -> Tensor:
        """Cross-entropy."""
        return -(target * outputs.float().log_softmax(-1)).sum(-1)


class Candidates(Classes):
    """One of a text's candidates; texts have different numbers of them, the places left over have output ``-inf``."""

    def loss(self, outputs: Tensor, target: Tensor, rows: TaskRows) -> Tensor:
        """Cross-entropy over the candidates that there are."""
        surprise = outputs.float().log_softmax(-1).masked_fill(outputs == -torch.inf, 0)
        return -(target * surprise).sum(-1)


class Labels(Soft):
    """Any number of labels: the mean over the labels."""

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Sigmoid."""
        return outputs.float().sigmoid()

    def gold(self, outputs: Tensor, rows: TaskRows) -> Tensor:
        """0 or 1 for each."""
        return targets_of(rows).float()

    def distributions(self, probabilities: Tensor) -> Tensor:
        """Each label and its absence."""
        return torch.stack([probabilities, 1 - probabilities], -1)

    def loss(self, outputs: Tensor, target: Tensor, rows: TaskRows) -> Tensor:
        """Binary cross-entropy."""
        return functional.binary_cross_entropy_with_logits(outputs.float(), target, reduction="none").mean(-1)


@dataclass(frozen=True)
class Scores(Soft):
    """A score, in units of its range."""

    low: float
    high: float

    def probabilities(self, outputs: Tensor) -> Tensor:
        """The score itself."""
        return outputs.float()

    def gold(self, outputs: Tensor, rows: TaskRows) -> Tensor:
        """The gold score, ``[outputs, 1]``."""
        return targets_of(rows).float().unsqueeze(-1)

    def loss(self, outputs: Tensor, target: Tensor, rows: TaskRows) -> Tensor:
        """Squared error."""
        return ((outputs.float() - target) / (self.high - self.low)).square().sum(-1)


class Spans(Soft):
    """First and last word of an answer: two distributions over the words of each text, given as log-probabilities."""

    def probabilities(self, outputs: Tensor) -> Tensor:
        """``[words, 2]``."""
        return outputs.float().exp()

    def gold(self, outputs: Tensor, rows: TaskRows) -> Tensor:
        """1 at the first and at the last word."""
        targets = targets_of(rows)
        return torch.stack([(targets == bit) | (targets == 3) for bit in (1, 2)], dim=1).float()

    def loss(self, outputs: Tensor, target: Tensor, rows: TaskRows) -> Tensor:
        """Cross-entropy, each word's part of it."""
        return -(target * outputs.float().clamp(min=-1e4)).sum(-1)


def soft_of(task: Task) -> Soft | None:
    """How a task's outputs are read; ``None`` for a type from elsewhere that doesn't derive from one of ours."""
    kinds = {"classification": Classes(), "tagging": Classes(), "relation": Classes(), "multilabel": Labels()}
    kinds |= {"ranking": Candidates(), "span": Spans(), "regression": Scores(*score_range(task))}
    return next((kinds[name] for name in type_of(task).family if name in kinds), None)


def is_plain(head: Head) -> bool:
    """Whether the head's own loss is that of its outputs' kind: no CRF, no weights of labels, nothing contrastive."""
    plain = head.objective in (text_cross_entropy, word_cross_entropy, binary_cross_entropy, span_loss)
    objective = head.objective
    return (plain or isinstance(objective, SquaredError)) and type(head).loss is Head.loss


def counted(rows: TaskRows) -> Tensor:
    """``[outputs]``: 1 for each that counts, 0 for one that reads a word without pieces."""
    if rows.word_positions is None:
        return torch.ones(sum(rows.output_counts), device=rows.rows.device)
    return (~rows.without_piece().any(1)).float()
