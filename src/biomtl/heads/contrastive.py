"""Similarity of two texts by the distance of their vectors, learned with contrastive loss (Hadsell et al. 2006)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Compare = Literal["distance", "cosine"]


class ContrastiveHead(nn.Module):
    """Maps both texts with the same layers and measures their distance.

    The loss ``y d^2 + (1 - y) max(margin - d, 0)^2`` for a similarity ``y`` between 0 and 1 is smallest at
    ``d = (1 - y) margin``, so a distance ``d`` means the similarity ``1 - d / margin``, which ``forward`` returns
    in the task's range.

    Args:
        dim: width of the texts' vectors.
        compare: Euclidean distance, or 1 - cosine.
        low: score of unrelated texts.
        high: score of equal texts.
        margin: distance from which texts count as unrelated.
    """

    def __init__(
        self, dim: int, compare: Compare = "cosine", low: float = 0.0, high: float = 1.0, margin: float = 1.0
    ) -> None:
        super().__init__()
        self.compare, self.low, self.high, self.margin = compare, low, high, margin
        self.projection = nn.Linear(dim, dim, bias=False)
        nn.init.eye_(self.projection.weight)

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        """``[pairs, dim]`` twice to ``[pairs]``, never below 0."""
        first, second = self.projection(first), self.projection(second)
        if self.compare == "cosine":
            return 1 - functional.cosine_similarity(first, second, dim=-1)
        # The square root has infinite slope where both texts are equal; a lower bound keeps gradients finite.
        return (first - second).square().sum(-1).clamp(min=1e-12).sqrt()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """``[pairs, dim]`` twice to scores ``[pairs, 1]``; beyond ``margin`` below ``low``, keeping ranks."""
        similarity = 1 - self.distance(first, second) / self.margin
        return (self.low + (self.high - self.low) * similarity).unsqueeze(-1)

    def loss(self, first: Tensor, second: Tensor, scores: Tensor) -> Tensor:
        """The mean contrastive loss against gold ``scores`` ``[pairs]`` in the task's range."""
        similarities = (scores - self.low) / (self.high - self.low)
        return contrastive_loss(self.distance(first, second), similarities, self.margin)


def contrastive_loss(distances: Tensor, similarities: Tensor, margin: float = 1.0) -> Tensor:
    """The mean of `contrastive_losses`."""
    return contrastive_losses(distances, similarities, margin).mean()


def contrastive_losses(distances: Tensor, similarities: Tensor, margin: float = 1.0) -> Tensor:
    """``y d^2 + (1 - y) max(margin - d, 0)^2`` of each of ``[pairs]``; ``y`` in [0, 1], 1 for equal texts."""
    apart = torch.relu(margin - distances)
    return similarities * distances.square() + (1 - similarities) * apart.square()
