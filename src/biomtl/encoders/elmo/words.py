"""The token layer: a word's vector from its characters, independent of context."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from biomtl.encoders.elmo.characters import PADDING
from biomtl.encoders.elmo.options import CharacterOptions

WORDS_AT_ONCE = 256  # words convolved together: the output of the widest filter stays near the cache's size


class Highway(nn.Module):
    """``x + sigmoid(carry(x)) * (relu(transform(x)) - x)`` over ``[n, width]`` (Srivastava et al. 2015)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.carry = nn.Linear(width, width)
        self.transform = nn.Linear(width, width)

    def forward(self, values: Tensor) -> Tensor:
        """The layer's output, of the same shape."""
        return values + torch.sigmoid(self.carry(values)) * (torch.relu(self.transform(values)) - values)


class TokenLayer(nn.Module):
    """Character ids ``[words, size]`` to word vectors ``[words, out]``: convolutions, highway layers, projection."""

    def __init__(self, options: CharacterOptions, out: int) -> None:
        super().__init__()
        dim = options.embedding.dim
        self.embedding = nn.Embedding(options.n_characters, dim)
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, count, width) for width, count in options.filters)
        self.highways = nn.ModuleList(Highway(options.width) for _ in range(options.n_highway))
        # bilm-tf omits the projection if it would change nothing.
        self.projection = nn.Linear(options.width, out) if options.width != out else None
        self.activation = torch.relu if options.activation == "relu" else torch.tanh

    def forward(self, characters: Tensor) -> Tensor:
        """Vectors of some words; a word's cost is proportional to its own length."""
        lengths = (characters != PADDING).sum(dim=1)
        order = torch.argsort(lengths)
        blocks = [self._convolve(characters[rows], int(lengths[rows[-1]])) for rows in order.split(WORDS_AT_ONCE)]
        vectors = torch.cat(blocks)
        for highway in self.highways:
            vectors = highway(vectors)
        if self.projection is not None:
            vectors = self.projection(vectors)
        return vectors[torch.argsort(order)]

    def _convolve(self, characters: Tensor, longest: int) -> Tensor:
        """The maximum over positions of every filter, ``[words, width]``."""
        embedded = self.embedding(characters).transpose(1, 2)
        maxima = []
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            # Windows that start after the longest word see only padding and are all the same: one of them is enough.
            windows = embedded[:, :, : longest + convolution.kernel_size[0]]
            maxima.append(convolution(windows).amax(dim=2))
        return self.activation(torch.cat(maxima, dim=1))
