"""Layers between the encoder's word vectors and a head for every word.

One interface: ``layer(hidden [rows, words, dim], mask [rows, words]) -> [rows, words, layer.dim]``. A word's result
depends only on the real words of its own row.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from biomtl.encoders.layout import RowLayout
from biomtl.errors import InputError, nearest

ATTENTION_HEADS = 8


class Seq2Seq(nn.Module, ABC):
    """The interface; ``dim`` is the width of the result."""

    dim: int

    @abstractmethod
    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """``[rows, words, n]`` and ``[rows, words]`` to ``[rows, words, dim]``.

        ``layout`` says where the mask is 1; without it, layers that have to know wait for the device.
        """


class Recurrent(Seq2Seq):
    """The states of a recurrent network: of both directions, or of one that is twice as wide."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU | nn.RNN], dim: int, hidden: int, *, both: bool = True) -> None:
        super().__init__()
        self.dim = 2 * hidden
        self.network = kind(dim, hidden if both else self.dim, batch_first=True, bidirectional=both)

    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """See ``Seq2Seq``."""
        return (layout or RowLayout.of(mask)).run(self.network, hidden)[0]


class GatedConvolutions(Seq2Seq):
    """Gated convolutions over three words with a residual connection (Dauphin et al. 2017, arXiv 1612.08083)."""

    def __init__(self, dim: int, hidden: int, layers: int = 2) -> None:
        super().__init__()
        self.dim = 2 * hidden
        self.entry = nn.Linear(dim, self.dim)
        self.convolutions = nn.ModuleList(nn.Conv1d(self.dim, 2 * self.dim, 3, padding=1) for _ in range(layers))

    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """See ``Seq2Seq``."""
        real = mask.to(hidden.dtype).unsqueeze(-1)
        words = self.entry(hidden)
        for convolution in self.convolutions:
            new = functional.glu(convolution((words * real).transpose(1, 2)), dim=1).transpose(1, 2)
            words = (words + new) * math.sqrt(0.5)
        return words


class IntraSentenceAttention(Seq2Seq):
    """Every word concatenated with an attention-weighted mean of the row's words."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.dim = 2 * dim
        self.key, self.query = nn.Linear(dim, hidden), nn.Linear(dim, hidden)

    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """See ``Seq2Seq``."""
        seen = _some(mask).unsqueeze(1)
        mean = functional.scaled_dot_product_attention(self.query(hidden), self.key(hidden), hidden, attn_mask=seen)
        return torch.cat([hidden, mean], dim=-1)


class FeedForward(Seq2Seq):
    """A linear layer and ReLU, applied to every word."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.dim = 2 * hidden
        self.layer = nn.Linear(dim, self.dim)

    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """See ``Seq2Seq``."""
        return torch.relu(self.layer(hidden))


class SelfAttention(Seq2Seq):
    """One transformer layer (Vaswani et al. 2017), optionally after convolutions as in QANet's block.

    Args:
        dim: width of the words.
        hidden: half the width inside.
        convolutions: depthwise separable convolutions over five words before it (Yu et al. 2018, arXiv 1804.09541).
    """

    def __init__(self, dim: int, hidden: int, convolutions: int = 0) -> None:
        super().__init__()
        self.dim = 2 * hidden
        self.entry = nn.Linear(dim, self.dim)
        self.norms = nn.ModuleList(nn.LayerNorm(self.dim) for _ in range(convolutions))
        self.depthwise = nn.ModuleList(
            nn.Conv1d(self.dim, self.dim, 5, padding=2, groups=self.dim) for _ in range(convolutions)
        )
        self.pointwise = nn.ModuleList(nn.Linear(self.dim, self.dim) for _ in range(convolutions))
        self.attention = nn.TransformerEncoderLayer(
            self.dim, math.gcd(self.dim, ATTENTION_HEADS), self.dim, batch_first=True, norm_first=True
        )

    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """See ``Seq2Seq``."""
        real = mask.bool()
        words = self.entry(hidden) + positions(hidden.shape[1], self.dim, hidden.device).to(hidden.dtype)
        for norm, depthwise, pointwise in zip(self.norms, self.depthwise, self.pointwise, strict=True):
            normed = norm(words).masked_fill(~real.unsqueeze(-1), 0)
            words = words + torch.relu(pointwise(depthwise(normed.transpose(1, 2)).transpose(1, 2)))
        return self.attention(words, src_key_padding_mask=~_some(mask))


SEQ2SEQ_MODULES: dict[str, Callable[[int, int], Seq2Seq]] = {
    "lstm": lambda dim, hidden: Recurrent(nn.LSTM, dim, hidden),
    "gru": lambda dim, hidden: Recurrent(nn.GRU, dim, hidden),
    "rnn": lambda dim, hidden: Recurrent(nn.RNN, dim, hidden),
    "lstm-forward": lambda dim, hidden: Recurrent(nn.LSTM, dim, hidden, both=False),
    "gru-forward": lambda dim, hidden: Recurrent(nn.GRU, dim, hidden, both=False),
    "rnn-forward": lambda dim, hidden: Recurrent(nn.RNN, dim, hidden, both=False),
    "cnn": GatedConvolutions,
    "isa": IntraSentenceAttention,
    "qanet": lambda dim, hidden: SelfAttention(dim, hidden, convolutions=2),
    "ssae": SelfAttention,
    "ff": FeedForward,
}


def build_seq2seq(name: str, dim: int, hidden: int = 384) -> Seq2Seq:
    """A layer by name.

    Args:
        name: one of ``SEQ2SEQ_MODULES``.
        dim: width of the word vectors.
        hidden: half the width of most results (both directions' states).

    Raises:
        InputError: no such layer.
    """
    if name not in SEQ2SEQ_MODULES:
        raise InputError(f"unknown seq2seq {name!r}", fix=nearest(name, SEQ2SEQ_MODULES))
    return SEQ2SEQ_MODULES[name](dim, hidden)


def positions(length: int, dim: int, device: torch.device) -> Tensor:
    """Sinusoidal position encodings ``[length, dim]`` (Vaswani et al. 2017)."""
    rates = torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10000.0) / dim))
    angles = torch.arange(length, device=device).unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :dim]


def _some(mask: Tensor) -> Tensor:
    """``mask``, but all true for a row without words, which could attend to nothing; its outputs are never read."""
    real = mask.bool()
    return real | ~real.any(1, keepdim=True)
