"""The learned sum of a biLM's layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ScalarMix(nn.Module):
    """``gamma * sum_k softmax(weights)_k * layer_k`` (Peters et al. 2018, equation 1).

    Args:
        layers: the number of layers to mix.
        layer_norm: first normalise every layer to mean 0 and variance 1 over all given positions and features
            together (so the result depends on the batch, as in allennlp and bilm-tf).
    """

    def __init__(self, layers: int, *, layer_norm: bool = False) -> None:
        super().__init__()
        self.layer_norm = layer_norm
        self.weights = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(()))

    def forward(self, layers: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix ``[layers, ..., dim]`` into ``[..., dim]``; ``mask`` ``[...]`` is false where there is no word."""
        if self.layer_norm:
            layers = self._normalise(layers, mask)
        weights = torch.softmax(self.weights, dim=0)
        return self.gamma * torch.einsum("k,k...->...", weights.to(layers.dtype), layers)

    def _normalise(self, layers: Tensor, mask: Tensor | None) -> Tensor:
        kept = layers.new_ones(layers.shape[1:-1]) if mask is None else mask.to(layers.dtype)
        kept = kept[None, ..., None]
        rest = tuple(range(1, layers.dim()))
        count = kept.sum() * layers.shape[-1]
        mean = (layers * kept).sum(dim=rest, keepdim=True) / count
        variance = ((layers - mean) * kept).square().sum(dim=rest, keepdim=True) / count
        return (layers - mean) / torch.sqrt(variance + 1e-13)
