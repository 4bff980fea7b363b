"""Which of a batch's encoder rows a task reads, and how its outputs map back to examples."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from biomtl.encoders.base import Encoded


@dataclass(slots=True)
class TaskRows:
    """One task's share of a batch, with ``r`` encoder rows, ``n`` examples and ``m`` outputs.

    What a head needs as plain numbers is kept on the host, so that no forward pass has to wait for a device.

    Attributes:
        rows: ``[r]`` indices of the batch's encoder rows.
        example_ids: ``[r]`` the example (0 … n-1) that each of these rows belongs to.
        segment_ids: ``[r]`` which text of several the row holds, as in ``EncodedRow.segment_id``.
        output_counts: outputs of each of the n examples: 1, or its number of words, or of pairs of mentions.
        segments: how many texts an example has at most.
        every_row: whether ``rows`` are all rows of the batch, in order.
        word_positions: ``[m, k, 2]`` index into ``rows`` and position of the k words that each output reads, -1 for a
            word without any piece; ``None`` where an output reads whole rows.
        targets: ``[m, …]`` gold values, or ``None`` when predicting; -100 where a word has no piece.
        loss_denominator: how many outputs the mean loss is over.
    """

    rows: Tensor
    example_ids: Tensor
    segment_ids: Tensor
    output_counts: tuple[int, ...]
    segments: int = 1
    every_row: bool = False
    word_positions: Tensor | None = None
    targets: Tensor | None = None
    loss_denominator: int = 0

    @property
    def count(self) -> int:
        """Number of examples."""
        return len(self.output_counts)

    def to(self, device: torch.device) -> TaskRows:
        """The same on another device."""
        return replace(
            self,
            rows=self.rows.to(device),
            example_ids=self.example_ids.to(device),
            segment_ids=self.segment_ids.to(device),
            word_positions=None if self.word_positions is None else self.word_positions.to(device),
            targets=None if self.targets is None else self.targets.to(device),
        )

    def select(self, encoded: Encoded) -> Encoded:
        """The task's rows of the batch, in its order; without a copy where they are all."""
        return encoded if self.every_row else encoded.select(self.rows)

    def gather(self, hidden: Tensor) -> Tensor:
        """The states that the outputs read: ``[batch rows, positions, dim]`` to ``[m, k, dim]``, zero without piece.

        They are taken from the batch's own states: however many outputs read a row, the row isn't copied.
        """
        assert self.word_positions is not None
        row, position = self.word_positions.clamp(min=0).unbind(-1)
        return hidden[self.rows[row], position].masked_fill(self.without_piece().unsqueeze(-1), 0)

    def without_piece(self) -> Tensor:
        """``[m, k]``, true where the tokenizer left a word without any piece."""
        assert self.word_positions is not None
        return self.word_positions[..., 0] < 0

    def mean_by_example(self, values: Tensor) -> Tensor:
        """``[r, labels]`` to ``[n, labels]``: the mean over a text's windows."""
        return values if len(values) == self.count else mean_by_id(values, self.example_ids, self.count)


def mean_by_id(values: Tensor, ids: Tensor, count: int) -> Tensor:
    """``[rows, n]`` to ``[count, n]``: the mean of the rows of each id, zero where an id has none."""
    sums = values.new_zeros(count, values.shape[-1]).index_add(0, ids, values)
    rows = values.new_zeros(count).index_add(0, ids, values.new_ones(len(ids)))
    return sums / rows.clamp(min=1).unsqueeze(-1)
