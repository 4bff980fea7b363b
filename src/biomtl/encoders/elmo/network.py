"""The biLM: words from characters, two stacks of LSTM layers, all layers given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from biomtl.encoders.elmo.characters import WordBatch
from biomtl.encoders.elmo.lstm import BiLstmLayer, State
from biomtl.encoders.elmo.options import ElmoOptions
from biomtl.encoders.elmo.words import TokenLayer


class Elmo(nn.Module):
    """A biLM that gives all its layers (Peters et al. 2018, arXiv 1802.05365).

    Nothing in it is random, so training and evaluation mode are alike. It is stateless unless ``stateful`` is set:
    then a row starts where the same row of the batch before ended, as in bilm-tf and allennlp (a smaller batch
    leaves the other rows' state as it was, new rows start at zero).
    """

    def __init__(self, options: ElmoOptions, *, stateful: bool = False) -> None:
        super().__init__()
        self.options = options
        self.token = TokenLayer(options.char_cnn, options.lstm.projection_dim)
        self.layers = nn.ModuleList(BiLstmLayer(options.lstm) for _ in range(options.lstm.n_layers))
        self.stateful = stateful
        self.reset_state()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.token.embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights and the layers are in."""
        return self.token.embedding.weight.dtype

    def reset_state(self) -> None:
        """Forget what earlier batches left behind (matters with ``stateful`` only)."""
        self._states: list[State | None] = [None] * len(self.layers)

    def forward(self, batch: WordBatch) -> Tensor:
        """Every layer at every position, markers included: ``[layers, positions, 2 * projection_dim]``.

        Layer 0 is the word's vector twice, the others are [forward; backward].
        """
        batch = batch.to(self.device)
        return self.contextual(self.token(batch.characters)[batch.index], batch.lengths)

    def contextual(self, vectors: Tensor, lengths: Sequence[int]) -> Tensor:
        """As ``forward``, from the word vectors ``[positions, projection_dim]`` of all positions."""
        order, sizes, places = pack(lengths)
        order, places = order.to(vectors.device), places.to(vectors.device)
        back = torch.argsort(places, dim=1)
        packed = vectors[places]
        layers = [torch.cat([vectors, vectors], dim=-1)]
        for number in range(len(self.layers)):
            outputs = self._run(number, packed, sizes, order)
            # The skip sum is neither clipped nor fed back, and the first layer has none.
            packed = outputs + packed if number and self.options.lstm.use_skip_connections else outputs
            layers.append(torch.cat([packed[0][back[0]], packed[1][back[1]]], dim=-1))
        return torch.stack(layers)

    def _run(self, number: int, packed: Tensor, sizes: Sequence[int], order: Tensor) -> Tensor:
        """One LSTM layer; with ``stateful`` its state is taken up and left behind, in the batch's own row order."""
        layer, rows, kept = self.layers[number], len(order), self._states[number]
        assert isinstance(layer, BiLstmLayer)
        hidden, cell = layer.zero_state(rows)
        if not self.stateful:
            return layer(packed, sizes, (hidden, cell))[0]
        if kept is not None:
            hidden = torch.cat([kept[0][:, :rows], hidden[:, kept[0].shape[1] :]], dim=1)
            cell = torch.cat([kept[1][:, :rows], cell[:, kept[1].shape[1] :]], dim=1)
        outputs, ended = layer(packed, sizes, (hidden[:, order], cell[:, order]))
        unsort = torch.argsort(order)
        hidden, cell = (part.detach()[:, unsort] for part in ended)
        if kept is not None:
            hidden = torch.cat([hidden, kept[0][:, rows:]], dim=1)
            cell = torch.cat([cell, kept[1][:, rows:]], dim=1)
        self._states[number] = (hidden, cell)
        return outputs


def pack(lengths: Sequence[int]) -> tuple[Tensor, list[int], Tensor]:
    """How to walk sentences of these lengths side by side, the batch shrinking as they end.

    Returns:
        order: sentences ``[rows]``, longest first.
        sizes: how many sentences have a position in each step.
        places: ``[2, positions]``, the position that each packed row takes in the unpacked sequence; 0 forward,
            1 backward (every sentence read from its end).
    """
    length = np.array(lengths, dtype=np.int64)
    order = np.argsort(-length, kind="stable")
    ends = np.cumsum(length)[order]
    length = length[order]
    steps = np.arange(length[0] if len(length) else 0)[:, None]
    alive = steps < length
    forward = (ends - length + steps)[alive]
    backward = (ends - 1 - steps)[alive]
    return torch.from_numpy(order), alive.sum(axis=1).tolist(), torch.from_numpy(np.stack([forward, backward]))
