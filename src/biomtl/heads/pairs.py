"""Heads for two texts that are encoded separately."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from biomtl.encoders.base import Encoded
from biomtl.heads.base import Loss, Reading, RowHead
from biomtl.heads.losses import text_cross_entropy
from biomtl.heads.rows import TaskRows, mean_by_id
from biomtl.heads.texts import candidate_slots


class CosineHead(nn.Module):
    """Similarity of two texts: the cosine of their mean-pooled vectors on the task's scale.

    A sentence encoder's cosine is a good similarity before any training, and training continues from there: the
    encoder changes the vectors, the head only the scale.

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


class PairHead(RowHead):
    """Pools the rows of both texts and compares the two vectors.

    Args:
        compare: ``[pairs, dim]`` twice to ``[pairs, labels]``.
        objective: the loss.
        layer_mix: the task's own mix of the encoder's layers, if the encoder has one.
        seq2vec: maps word vectors and mask to a row's vector; default their mean.
    """

    reading: ClassVar[Reading | None] = "pairs"

    def __init__(
        self,
        compare: nn.Module,
        objective: Loss,
        layer_mix: nn.Module | None = None,
        seq2vec: nn.Module | None = None,
    ) -> None:
        super().__init__(objective)
        self.network = None
        self.compare = compare
        self.layer_mix = layer_mix
        self.seq2vec = seq2vec

    @property
    def traceable(self) -> bool:
        """Texts are compared in the graph."""
        return self.reading is not None

    def trace(self, encoded: Encoded, given: Mapping[str, Tensor]) -> Tensor:
        """``[pairs, labels]``; the same as `forward`, with the examples as matrices."""
        vectors = self.each_row(encoded)
        return self.compare(given["first"] @ vectors, given["second"] @ vectors)

    def each_row(self, encoded: Encoded) -> Tensor:
        """``[rows, dim]``: each row's vector."""
        mixed = encoded if self.layer_mix is None else self.layer_mix(encoded)
        return mixed.mean() if self.seq2vec is None else self.seq2vec(mixed.hidden, mixed.mask, mixed.layout)

    def join(self, values: Tensor, rows: TaskRows) -> Tensor:
        """``[pairs, labels]``."""
        vectors = mean_by_id(values, rows.example_ids * 2 + rows.segment_ids, 2 * rows.count)
        return self.compare(vectors[0::2], vectors[1::2])


class RankingPairHead(PairHead):
    """A score for each candidate: its vector compared with the text's."""

    reading: ClassVar[Reading | None] = None

    def __init__(self, compare: nn.Module, layer_mix: nn.Module | None = None) -> None:
        super().__init__(compare, text_cross_entropy, layer_mix)

    def join(self, values: Tensor, rows: TaskRows) -> Tensor:
        """``[texts, most candidates]``, padded with ``-inf``."""
        slots, filled = candidate_slots(rows)
        vectors = mean_by_id(values, slots, filled.numel()).view(*filled.shape, -1)
        text = vectors[:, :1].expand(-1, rows.segments - 1, -1)
        return self.compare(text, vectors[:, 1:]).squeeze(-1).masked_fill(~filled[:, 1:], -torch.inf)
