"""The losses of heads, each a mean over the outputs that count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from biomtl.heads.rows import TaskRows

MISSING = -100  # the target of a word without pieces, as in torch's cross-entropy


def targets_of(rows: TaskRows) -> Tensor:
    """The rows' gold values; losses are only computed for rows that have them."""
    assert rows.targets is not None
    return rows.targets


def weighted_mean(values: Tensor, rows: TaskRows) -> Tensor:
    """The mean of ``[outputs, …]`` over ``rows.loss_denominator`` outputs, each times the weight of its row.

    The sum isn't divided by the weights', so that a row counts the same in whatever batch it comes.
    """
    if rows.weights is not None:
        values = values * rows.weights.view(-1, *[1] * (values.dim() - 1))
    return values.sum() / max(rows.loss_denominator, 1)


def text_cross_entropy(outputs: Tensor, rows: TaskRows) -> Tensor:
    """Mean cross-entropy of ``[texts, labels]`` and label indices ``[texts]``."""
    if rows.weights is not None:
        return weighted_mean(_surprise(outputs, rows), rows)
    return functional.cross_entropy(outputs.float(), targets_of(rows))


def _surprise(outputs: Tensor, rows: TaskRows, labels: Tensor | None = None) -> Tensor:
    """``[outputs]``: the cross-entropy of each, 0 where nothing is to be learnt."""
    targets = targets_of(rows)
    return functional.cross_entropy(outputs.float(), targets, labels, reduction="none", ignore_index=MISSING)


def word_cross_entropy(outputs: Tensor, rows: TaskRows) -> Tensor:
    """The same over words; words without pieces don't count."""
    if rows.weights is not None:
        return weighted_mean(_surprise(outputs, rows), rows)
    total = functional.cross_entropy(outputs.float(), targets_of(rows), reduction="sum", ignore_index=MISSING)
    return total / max(rows.loss_denominator, 1)


class WeightedCrossEntropy(nn.Module):
    """Cross-entropy over texts or words with a factor for each label."""

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.weights: Tensor
        self.register_buffer("weights", torch.tensor(weights), persistent=False)

    def forward(self, outputs: Tensor, rows: TaskRows) -> Tensor:
        """The mean over the outputs that count."""
        if rows.weights is not None:
            return weighted_mean(_surprise(outputs, rows, self.weights), rows)
        targets = targets_of(rows)
        total = functional.cross_entropy(outputs.float(), targets, self.weights, reduction="sum", ignore_index=MISSING)
        return total / max(rows.loss_denominator, 1)


def binary_cross_entropy(outputs: Tensor, rows: TaskRows) -> Tensor:
    """Binary cross-entropy of ``[texts, labels]``, averaged over the labels as over the texts.

    A mean, as in the stock heads: a sum over HoC's ten labels would have ten times the gradient and outweigh the other
    tasks in a joint run.
    """
    if rows.weights is not None:
        each = functional.binary_cross_entropy_with_logits(outputs.float(), targets_of(rows), reduction="none")
        return weighted_mean(each.mean(-1), rows)
    return functional.binary_cross_entropy_with_logits(outputs.float(), targets_of(rows))


class WeightedBinaryCrossEntropy(nn.Module):
    """Binary cross-entropy with a factor for each label."""

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.weights: Tensor
        self.register_buffer("weights", torch.tensor(weights), persistent=False)

    def forward(self, outputs: Tensor, rows: TaskRows) -> Tensor:
        """The mean over labels and texts."""
        each = functional.binary_cross_entropy_with_logits(outputs.float(), targets_of(rows), reduction="none")
        if rows.weights is not None:
            return weighted_mean((each * self.weights).mean(-1), rows)
        return (each * self.weights).sum() / max(outputs.numel(), 1)


@dataclass(frozen=True)
class SquaredError:
    """Mean squared error of ``[texts, 1]`` in units of the score range."""

    low: float
    high: float

    def __call__(self, outputs: Tensor, rows: TaskRows) -> Tensor:
        """The mean over texts."""
        if rows.weights is not None:
            errors = (outputs.float().squeeze(-1) - targets_of(rows)).square()
            return weighted_mean(errors, rows) / (self.high - self.low) ** 2
        return functional.mse_loss(outputs.float().squeeze(-1), targets_of(rows)) / (self.high - self.low) ** 2
