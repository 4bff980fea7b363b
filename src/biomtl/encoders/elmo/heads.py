"""A task's mix of a biLM's layers, and plain networks on top of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from biomtl.encoders.base import Encoded, RowNetwork
from biomtl.encoders.elmo.scalar_mix import ScalarMix


class LayerMix(nn.Module):
    """Learned mixes of the layers, concatenated: ``[rows, words, layers * n]`` to ``[rows, words, mixes * n]``."""

    def __init__(self, layers: int, mixes: int = 1, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = layers
        self.mixes = nn.ModuleList(ScalarMix(layers) for _ in range(mixes))
        self.dropout = nn.Dropout(dropout)

    def forward(self, encoded: Encoded) -> Encoded:
        """The same rows with the layers mixed for the task's heads."""
        layers = encoded.hidden.unflatten(-1, (self.layers, -1)).movedim(-2, 0)
        mixed = [self.dropout(mix(layers, encoded.mask)) for mix in self.mixes]
        return replace(encoded, hidden=torch.cat(mixed, dim=-1))


class ElmoTextNetwork(RowNetwork):
    """One output row per text: the mean over its words, dropout, a linear layer."""

    def __init__(self, layer_mix: nn.Module, dim: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.layer_mix = layer_mix
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(dim, labels)

    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, labels]``."""
        return self.classifier(self.dropout(self.layer_mix(encoded).mean()))


class ElmoWordNetwork(RowNetwork):
    """One output row per word: dropout, a linear layer."""

    def __init__(self, layer_mix: nn.Module, dim: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.layer_mix = layer_mix
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(dim, labels)

    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, words, labels]``."""
        return self.classifier(self.dropout(self.layer_mix(encoded).hidden))
