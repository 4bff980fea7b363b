"""LSTMs with highway connections around the cell (Zhang et al. 2016, arXiv 1510.08983), single or stacked."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class HighwayLstm(nn.Module):
    """One direction: ``h = r * o * tanh(c) + (1 - r) * W x`` with a learned gate ``r``.

    Args:
        dim: width of the words.
        hidden: width of the states.
        backward: read from the last word to the first.
    """

    def __init__(self, dim: int, hidden: int, *, backward: bool = False) -> None:
        super().__init__()
        self.hidden, self.backwards = hidden, backward
        self.inputs = nn.Linear(dim, 6 * hidden)
        self.states = nn.Linear(hidden, 5 * hidden, bias=False)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """``[rows, words, dim]`` and ``[rows, words]`` to the state at every word; zeros in the padding."""
        rows, length = mask.shape
        taken = self.inputs(words)
        state = cell = words.new_zeros(rows, self.hidden)
        outputs = [state] * length
        for step in reversed(range(length)) if self.backwards else range(length):
            gates, passed = taken[:, step].split([5 * self.hidden, self.hidden], dim=-1)
            enter, forget, leave, highway, new = (gates + self.states(state)).chunk(5, dim=-1)
            changed = torch.sigmoid(enter) * torch.tanh(new) + torch.sigmoid(forget) * cell
            through = torch.sigmoid(highway)
            output = through * torch.sigmoid(leave) * torch.tanh(changed) + (1 - through) * passed
            real = mask[:, step].bool().unsqueeze(-1)
            state, cell = torch.where(real, output, state), torch.where(real, changed, cell)
            outputs[step] = output.masked_fill(~real, 0)
        return torch.stack(outputs, dim=1)


class AlternatingLstm(nn.Module):
    """Stacked highway LSTMs of alternating direction (Zhou and Xu 2015)."""

    def __init__(self, dim: int, hidden: int, layers: int = 3) -> None:
        super().__init__()
        widths = [dim, *[hidden] * (layers - 1)]
        self.layers = nn.ModuleList(HighwayLstm(width, hidden, backward=i % 2 == 1) for i, width in enumerate(widths))

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """As ``HighwayLstm``."""
        for layer in self.layers:
            words = layer(words, mask)
        return words
