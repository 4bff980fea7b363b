"""One bidirectional LSTM layer with clipping and projection, over packed rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from biomtl.encoders.elmo.options import LstmOptions

State = tuple[Tensor, Tensor]  # outputs [2, rows, out] and cells [2, rows, cells]

# Rows of gate inputs kept at a time (128 KiB per row for both directions of the original model, fp32): enough for
# matrix products at full speed, and little memory however long the sentences are.
ROWS_AT_ONCE = 1024


class BiLstmLayer(nn.Module):
    """Both directions of one layer; they share only their length.

    A step with input x, output h and cell c (gate blocks in bilm-tf's order i, j, f, o)::

        i, j, f, o = W x + U h + b
        c' = clip(sigmoid(f + 1) * c + sigmoid(i) * tanh(j), cell_clip)
        h' = clip(P (sigmoid(o) * tanh(c')), proj_clip)

    Parameters have the direction (0 forward, 1 backward) as their first dimension.
    """

    def __init__(self, options: LstmOptions) -> None:
        super().__init__()
        cells, out = options.dim, options.projection_dim
        self.cells, self.out = cells, out
        self.cell_clip, self.output_clip = options.cell_clip, options.proj_clip
        self.input_weight = nn.Parameter(torch.empty(2, 4 * cells, out))
        self.hidden_weight = nn.Parameter(torch.empty(2, 4 * cells, out))
        self.bias = nn.Parameter(torch.zeros(2, 4 * cells))
        self.projection = nn.Parameter(torch.empty(2, out, cells)) if options.projected else None
        for weight in (self.input_weight, self.hidden_weight, self.projection):
            if weight is not None:
                nn.init.normal_(weight, std=1 / math.sqrt(weight.shape[-1]))

    def zero_state(self, rows: int) -> State:
        """The state before the first word, ``[2, rows, out]`` and ``[2, rows, cells]``."""
        hidden = self.bias.new_zeros(2, rows, self.out)
        # bf16 has 8 bits of mantissa: a cell that sums over a sentence would lose what each step adds.
        precise = torch.promote_types(self.bias.dtype, torch.float32)
        return hidden, self.bias.new_zeros(2, rows, self.cells, dtype=precise)

    def forward(self, inputs: Tensor, sizes: Sequence[int], state: State) -> tuple[Tensor, State]:
        """Run over packed rows.

        Args:
            inputs: ``[2, sum(sizes), out]``, one step after another; the rows of a step are those of the previous
                step without the rows whose sentence has ended (so the longest sentence comes first).
            sizes: the number of rows in each step, never increasing.
            state: the state of every row before the first step.

        Returns:
            The outputs, shaped like ``inputs``, and each row's state after its own last step.
        """
        hidden, cell = state
        outputs, ended = [], []
        for gates in self._gate_inputs(inputs, sizes):
            size = gates.shape[1]
            if size < hidden.shape[1]:
                ended.append((hidden[:, size:], cell[:, size:]))
                hidden, cell = hidden[:, :size], cell[:, :size]
            hidden, cell = self._step(_add_product(gates, hidden, self.hidden_weight), cell)
            outputs.append(hidden)
        ended.append((hidden, cell))
        final = tuple(torch.cat(states, dim=1) for states in zip(*reversed(ended), strict=True))
        return torch.cat(outputs, dim=1), (final[0], final[1])

    def _gate_inputs(self, inputs: Tensor, sizes: Sequence[int]) -> Iterator[Tensor]:
        """The input's contribution to each step's gates, as one product for many steps."""
        # The forget gate's +1 is not in bilm-tf's files, nor in ours, so that they convert back exactly.
        bias = self.bias + torch.tensor([0.0, 0.0, 1.0, 0.0]).to(self.bias).repeat_interleave(self.cells)
        start, first = 0, 0
        while first < len(sizes):
            last, rows = first, 0
            while last < len(sizes) and (rows == 0 or rows + sizes[last] <= ROWS_AT_ONCE):
                rows += sizes[last]
                last += 1
            block = _add_product(bias[:, None], inputs[:, start : start + rows], self.input_weight)
            yield from block.split(list(sizes[first:last]), dim=1)
            start, first = start + rows, last

    def _step(self, gates: Tensor, cell: Tensor) -> State:
        i, j, f, o = gates.chunk(4, dim=-1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(j)
        if self.cell_clip is not None:
            cell = cell.clamp(-self.cell_clip, self.cell_clip)
        hidden = torch.sigmoid(o) * torch.tanh(cell).to(o.dtype)
        if self.projection is not None:
            hidden = torch.bmm(hidden, self.projection.transpose(1, 2))
            if self.output_clip is not None:
                hidden = hidden.clamp(-self.output_clip, self.output_clip)
        return hidden, cell


def _add_product(start: Tensor, inputs: Tensor, weight: Tensor) -> Tensor:
    """``start + inputs @ weight^T`` for both directions, ``[2, rows, n]``."""
    if inputs.dtype == torch.bfloat16 and inputs.device.type == "cpu":
        # oneDNN's batched bf16 product is 3 to 6 times slower than two plain ones (torch 2.13, AVX-512 bf16).
        return torch.stack([torch.addmm(s, x, w.t()) for s, x, w in zip(start, inputs, weight, strict=True)])
    return torch.baddbmm(start, inputs, weight.transpose(1, 2))
