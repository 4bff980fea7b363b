"""Heads for two texts that were encoded apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from biomtl.encoders.base import Encoded


class CosineHead(nn.Module):
    """Similarity of two texts: the cosine of their mean-pooled vectors on the task's scale.

    A sentence encoder's cosine is a good similarity before any training, and training goes on from there: the
    encoder moves the vectors, the head only the scale.

    Args:
        low: the score of unrelated texts (cosine 0).
        high: the score of equal texts (cosine 1).
    """

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(high - low)))
        self.bias = nn.Parameter(torch.tensor(float(low)))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """``[pairs, dim]`` twice to ``[pairs, 1]``."""
        cosine = functional.cosine_similarity(first, second, dim=-1)
        return (self.scale * cosine + self.bias).unsqueeze(-1)


class ComparisonHead(nn.Module):
    """A linear layer over ``[u; v; |u - v|; u * v]`` (Conneau et al. 2017, arXiv 1705.02364, and the product)."""

    def __init__(self, dim: int, labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(4 * dim, labels)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """``[pairs, dim]`` twice to ``[pairs, labels]``."""
        features = torch.cat([first, second, (first - second).abs(), first * second], dim=-1)
        return self.classifier(self.dropout(features))


class ApartHead(nn.Module):
    """Pools the rows of both texts and compares the two vectors.

    Args:
        compare: ``[pairs, dim]`` twice to ``[pairs, labels]``.
        view: the task's own view of the encoder's hidden states, where the encoder gives one.
        reducer: word vectors and mask to a row's vector; default their mean.
    """

    def __init__(self, compare: nn.Module, view: nn.Module | None = None, reducer: nn.Module | None = None) -> None:
        super().__init__()
        self.compare = compare
        self.view = view
        self.reducer = reducer

    def forward(self, encoded: Encoded, example_ids: Tensor, segment_ids: Tensor, count: int) -> Tensor:
        """``[pairs, labels]`` of ``count`` pairs.

        Args:
            encoded: the rows of both texts of all pairs.
            example_ids: ``[rows]`` the pair a row belongs to.
            segment_ids: ``[rows]`` 0 for the first text, 1 for the second.
            count: how many pairs there are.
        """
        encoded = encoded if self.view is None else self.view(encoded)
        pooled = encoded.mean() if self.reducer is None else self.reducer(encoded.hidden, encoded.mask)
        vectors = mean_by_example(pooled, example_ids * 2 + segment_ids, 2 * count)
        return self.compare(vectors[0::2], vectors[1::2])


def mean_by_example(values: Tensor, example_ids: Tensor, count: int) -> Tensor:
    """``[rows, n]`` to ``[count, n]``: the mean of each owner's rows (the windows of a long text)."""
    sums = values.new_zeros(count, values.shape[-1]).index_add(0, example_ids, values)
    rows = values.new_zeros(count).index_add(0, example_ids, values.new_ones(len(example_ids)))
    return sums / rows.clamp(min=1).unsqueeze(-1)
