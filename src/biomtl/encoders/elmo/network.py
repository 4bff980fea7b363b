"""The biLM: word vectors from characters, two stacks of LSTM layers, all layers returned."""

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
    """A biLM that returns all its layers (Peters et al. 2018, arXiv 1802.05365).

    Nothing in it is random, so training and evaluation mode are the same. It is stateless unless ``stateful`` is set:
    then each row starts with the final state of the same row in the previous batch, as in bilm-tf and allennlp (a
    smaller batch leaves the other rows' states unchanged; new rows start at zero).
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
        """The device of the weights."""
        return self.token.embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights and layers."""
        return self.token.embedding.weight.dtype

    def reset_state(self) -> None:
        """Forget the state of earlier batches (matters only with ``stateful``)."""
        self._states: list[State | None] = [None] * len(self.layers)

    def forward(self, batch: WordBatch) -> Tensor:
        """Every layer at every position, including markers: ``[layers, positions, 2 * projection_dim]``.

        Layer 0 is the word vector twice; the others are [forward; backward].
        """
        batch = batch.to(self.device)
        return self.contextual(self.token(batch.characters)[batch.index], batch.lengths)

    def contextual(self, vectors: Tensor, lengths: Sequence[int]) -> Tensor:
        """Like ``forward``, but from the word vectors ``[positions, projection_dim]`` of all positions."""
        order, sizes, places = pack(lengths)
        order, places = order.to(vectors.device), places.to(vectors.device)
        back = torch.argsort(places, dim=1)
        packed = vectors[places]
        layers = [torch.cat([vectors, vectors], dim=-1)]
        for number in range(len(self.layers)):
            outputs = self._run(number, packed, sizes, order)
            # The skip connection is neither clipped nor fed back, and the first layer has none.
            packed = outputs + packed if number and self.options.lstm.use_skip_connections else outputs
            layers.append(torch.cat([packed[0][back[0]], packed[1][back[1]]], dim=-1))
        return torch.stack(layers)

    def _run(self, number: int, packed: Tensor, sizes: Sequence[int], order: Tensor) -> Tensor:
        """One LSTM layer; with ``stateful`` it starts from the kept state and keeps its own, in batch row order."""
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
        hidden, cell = (state.detach()[:, unsort] for state in ended)
        if kept is not None:
            hidden = torch.cat([hidden, kept[0][:, rows:]], dim=1)
            cell = torch.cat([cell, kept[1][:, rows:]], dim=1)
        self._states[number] = (hidden, cell)
        return outputs


def pack(lengths: Sequence[int]) -> tuple[Tensor, list[int], Tensor]:
    """How to run sentences of these lengths in parallel, with a batch that shrinks as they end.

    Returns:
        order: sentences ``[rows]``, longest first.
        sizes: the number of sentences with a position in each step.
        places: ``[2, positions]``, the position of each packed row in the unpacked sequence; 0 forward,
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
