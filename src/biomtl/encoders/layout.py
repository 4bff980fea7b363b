"""Where the real positions of padded rows are, known without asking the device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


@dataclass(frozen=True, slots=True)
class RowLayout:
    """The real positions of ``r`` rows of equal length with padding.

    Lengths are plain numbers and indices go to the device with their batch: a layer that took either from a mask on
    the device would have to wait until the device had done all work before.

    Attributes:
        sorted_lengths: the real positions of each row, at least 1, in descending order.
        longest_first: ``[r]`` the index of the row that has each of these lengths.
        original_order: ``[r]`` each row's place in that order.
        real: the index of every real position among all positions of all rows.
    """

    sorted_lengths: tuple[int, ...]
    longest_first: Tensor
    original_order: Tensor
    real: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> RowLayout:
        """The layout that a mask ``[r, positions]`` shows, on its device; the program waits for any but the CPU."""
        real = mask.cpu().bool()
        lengths, longest_first = real.sum(1).clamp(min=1).sort(descending=True)
        positions = real.flatten().nonzero().squeeze(1)
        return cls(tuple(lengths.tolist()), longest_first, longest_first.argsort(), positions).to(mask.device)

    def to(self, device: torch.device) -> RowLayout:
        """The same with the indices on another device."""
        return replace(
            self,
            longest_first=self.longest_first.to(device),
            original_order=self.original_order.to(device),
            real=self.real.to(device),
        )

    def gather(self, hidden: Tensor) -> Tensor:
        """The states of the real positions, row by row: ``[r, positions, dim]`` to ``[real positions, dim]``."""
        return hidden.flatten(0, 1)[self.real]

    def scatter(self, values: Tensor, positions: int) -> Tensor:
        """The inverse of ``gather``: ``[real positions, dim]`` to ``[r, positions, dim]``, zeros in the padding."""
        padded = values.new_zeros(len(self.sorted_lengths) * positions, values.shape[-1])
        return padded.index_put((self.real,), values).unflatten(0, (-1, positions))

    def run(self, network: nn.RNNBase, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Run a recurrent network over the real positions of every row.

        Args:
            network: takes and returns rows first (``batch_first``).
            hidden: ``[r, positions, dim]``.

        Returns:
            ``[r, positions, states]``, zeros in the padding, and the last hidden state of each direction
            ``[directions, r, size]``.
        """
        # torch's own sorting (`enforce_sorted=False`) copies its indices from and to the device.
        packed = pack_padded_sequence(hidden[self.longest_first], list(self.sorted_lengths), batch_first=True)
        states, final = network(packed)
        padded, _ = pad_packed_sequence(states, batch_first=True, total_length=hidden.shape[1])
        final = final[0] if isinstance(final, tuple) else final
        return padded[self.original_order], final[:, self.original_order]
