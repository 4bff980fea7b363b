"""Seq2Vec modules: from a row's word vectors to one vector, independent of padding.

One interface: ``seq2vec(hidden [rows, words, dim], mask [rows, words]) -> [rows, seq2vec.dim]``. A row's result depends
only on its real words; a row without words gives zeros (or the result for zeros).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from biomtl.encoders.elmo.words import Highway
from biomtl.encoders.layout import RowLayout
from biomtl.errors import InputError, nearest
from biomtl.heads.highway_lstm import AlternatingLstm, HighwayLstm


class Seq2Vec(nn.Module, ABC):
    """The interface; ``dim`` is the width of the result."""

    dim: int

    @abstractmethod
    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """``[rows, words, n]`` and ``[rows, words]`` to ``[rows, dim]``.

        ``layout`` says where the mask is 1; without it, modules that have to know wait for the device.
        """


class Mean(Seq2Vec):
    """Bag of embeddings: the mean over the real words."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """See ``Seq2Vec``."""
        real = mask.bool().unsqueeze(-1)
        return hidden.masked_fill(~real, 0).sum(1) / real.sum(1).clamp(min=1)


class Max(Seq2Vec):
    """The largest value of each feature over the real words."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """See ``Seq2Vec``."""
        return _masked_max(hidden, mask.bool())


class Last(Seq2Vec):
    """The last real word's vector: the final state of a left-to-right encoder."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """See ``Seq2Vec``."""
        lengths = mask.bool().sum(1)
        last = hidden[torch.arange(len(hidden), device=hidden.device), (lengths - 1).clamp(min=0)]
        return last.masked_fill((lengths == 0).unsqueeze(-1), 0)


class Recurrent(Seq2Vec):
    """The final states of a recurrent network: of both directions, or of one that is twice as wide."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU | nn.RNN], dim: int, hidden: int, *, both: bool = True) -> None:
        super().__init__()
        self.dim = 2 * hidden
        self.network = kind(dim, hidden if both else self.dim, batch_first=True, bidirectional=both)

    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """See ``Seq2Vec``."""
        final = (layout or RowLayout.of(mask)).run(self.network, hidden)[1]
        return torch.cat(list(final), dim=-1).masked_fill(~mask.bool().any(1, keepdim=True), 0)


class Convolutional(Seq2Vec):
    """The maximum of every filter over the words (Kim 2014, arXiv 1408.5882).

    A window starts at every real word and reads zeros after the last one.

    Args:
        dim: width of the word vectors.
        filters: filters of each width.
        widths: words that a filter sees.
    """

    def __init__(self, dim: int, filters: int, widths: Sequence[int] = (2, 3, 4, 5)) -> None:
        super().__init__()
        self.dim = filters * len(widths)
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, filters, width) for width in widths)

    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """See ``Seq2Vec``."""
        real = mask.bool()
        features = hidden.masked_fill(~real.unsqueeze(-1), 0).transpose(1, 2)
        answers = []
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            padded = nn.functional.pad(features, (0, convolution.kernel_size[0] - 1))
            answers.append(_masked_max(torch.relu(convolution(padded)).transpose(1, 2), real))
        return torch.cat(answers, dim=-1)


class ConvolutionalHighway(Seq2Vec):
    """Convolutions, one highway layer, and a projection: the shape of a biLM's own token layer."""

    def __init__(self, dim: int, filters: int, widths: Sequence[int] = (2, 3, 4, 5)) -> None:
        super().__init__()
        self.convolution = Convolutional(dim, filters, widths)
        self.highway = Highway(self.convolution.dim)
        self.projection = nn.Linear(self.convolution.dim, self.convolution.dim)
        self.dim = self.convolution.dim

    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """See ``Seq2Vec``."""
        return self.projection(self.highway(self.convolution(hidden, mask)))


class HighwayRecurrent(Seq2Vec):
    """The last word's state of one highway LSTM, or of three with alternating directions."""

    def __init__(self, dim: int, hidden: int, *, alternating: bool = False) -> None:
        super().__init__()
        self.dim = 2 * hidden
        self.network = AlternatingLstm(dim, self.dim) if alternating else HighwayLstm(dim, self.dim)
        self.last = Last(self.dim)

    def forward(self, hidden: Tensor, mask: Tensor, layout: RowLayout | None = None) -> Tensor:
        """See ``Seq2Vec``."""
        return self.last(self.network(hidden, mask), mask)


SEQ2VEC_MODULES: dict[str, Callable[[int, int], Seq2Vec]] = {
    "boe": lambda dim, hidden: Mean(dim),
    "avg": lambda dim, hidden: Mean(dim),
    "max": lambda dim, hidden: Max(dim),
    "last": lambda dim, hidden: Last(dim),
    "lstm": lambda dim, hidden: Recurrent(nn.LSTM, dim, hidden),
    "gru": lambda dim, hidden: Recurrent(nn.GRU, dim, hidden),
    "rnn": lambda dim, hidden: Recurrent(nn.RNN, dim, hidden),
    "lstm-forward": lambda dim, hidden: Recurrent(nn.LSTM, dim, hidden, both=False),
    "gru-forward": lambda dim, hidden: Recurrent(nn.GRU, dim, hidden, both=False),
    "rnn-forward": lambda dim, hidden: Recurrent(nn.RNN, dim, hidden, both=False),
    "agmnlstm": lambda dim, hidden: HighwayRecurrent(dim, hidden),
    "stkaltlstm": lambda dim, hidden: HighwayRecurrent(dim, hidden, alternating=True),
    "cnn": lambda dim, hidden: Convolutional(dim, hidden),
    "cnn-highway": lambda dim, hidden: ConvolutionalHighway(dim, hidden),
}


def build_seq2vec(name: str, dim: int, hidden: int = 128) -> Seq2Vec:
    """A Seq2Vec module by name; elmoft's names (``pytorch-lstm``, ``cnn_highway``) are accepted too.

    Args:
        name: one of ``SEQ2VEC_MODULES``.
        dim: width of the word vectors.
        hidden: states per direction (recurrent), filters per width (convolutional).

    Raises:
        InputError: no such module.
    """
    known = name.removeprefix("pytorch-").replace("_", "-")
    if known not in SEQ2VEC_MODULES:
        raise InputError(f"unknown seq2vec {name!r}", fix=nearest(name, SEQ2VEC_MODULES))
    return SEQ2VEC_MODULES[known](dim, hidden)


def _masked_max(values: Tensor, real: Tensor) -> Tensor:
    """Maximum of ``[rows, words, n]`` over ``real`` words; zeros for a row without words."""
    kept = values.masked_fill(~real.unsqueeze(-1), torch.finfo(values.dtype).min).amax(1)
    return kept.masked_fill(~real.any(1).unsqueeze(-1), 0)
