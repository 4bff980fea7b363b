"""The encoder rows of a batch that a task reads, and how its outputs map back to examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from biomtl.encoders.base import Encoded
from biomtl.encoders.layout import RowLayout


@dataclass(slots=True)
class TaskRows:
    """One task's part of a batch, with ``r`` encoder rows, ``n`` examples and ``m`` outputs.

    Plain numbers that heads need are kept on the host, so that no forward pass waits for a device.

    Attributes:
        rows: ``[r]`` indices of the batch's encoder rows.
        example_ids: ``[r]`` the example (0 … n-1) of each of these rows.
        segment_ids: ``[r]`` which of several texts the row holds, as in ``EncodedRow.segment_id``.
        output_counts: number of outputs of each example: 1, or its number of words or of pairs of mentions.
        segments: maximum number of texts per example.
        every_row: whether ``rows`` are all rows of the batch, in order.
        word_positions: ``[m, k, 2]`` index into ``rows`` and position of the k words that each output reads, -1 for a
            word without pieces; ``None`` if outputs read whole rows.
        targets: ``[m, …]`` gold values, or ``None`` when predicting; -100 for words without pieces.
        loss_denominator: number of outputs in the mean loss.
        taught: ``[m, labels]`` the teachers' outputs as distributions, if the task has teachers.
        labelled: ``[m]`` then, whether ``targets`` are gold there.
        weights: ``[m]`` factor of each output's loss, its record's; ``None`` if all are 1.
        layout: where these rows have real positions.
        features: ``[m, n]`` further numbers of each output, such as the types of mentions, or ``None``.
        slots: ``[m]`` each output's index in a table ``[r, outputs_per_row]``, by the row of its first position;
            ``None`` if outputs read a single position.
        outputs_per_row: most outputs of a row.
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
    taught: Tensor | None = None
    labelled: Tensor | None = None
    weights: Tensor | None = None
    layout: RowLayout | None = None
    features: Tensor | None = None
    slots: Tensor | None = None
    outputs_per_row: int = 1

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
            features=None if self.features is None else self.features.to(device),
            slots=None if self.slots is None else self.slots.to(device),
            targets=None if self.targets is None else self.targets.to(device),
            taught=None if self.taught is None else self.taught.to(device),
            labelled=None if self.labelled is None else self.labelled.to(device),
            weights=None if self.weights is None else self.weights.to(device),
            layout=None if self.layout is None else self.layout.to(device),
        )

    def select(self, encoded: Encoded) -> Encoded:
        """The task's rows of the batch, in order; not copied if these are all rows."""
        return replace(encoded if self.every_row else encoded.select(self.rows), layout=self.layout)

    def cut(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The encoder's inputs for these rows alone; not copied if these are all rows."""
        return inputs if self.every_row else {name: values[self.rows] for name, values in inputs.items()}

    def alone(self) -> TaskRows:
        """The same for a batch of the task's own rows."""
        return replace(self, rows=torch.arange(len(self.rows), device=self.rows.device), every_row=True)

    def gather(self, hidden: Tensor) -> Tensor:
        """The states that the outputs read: ``[batch rows, positions, dim]`` to ``[m, k, dim]``, zero without pieces.

        They are gathered from the batch's own states: a row isn't copied, however many outputs read it.
        """
        assert self.word_positions is not None
        row, position = self.word_positions.clamp(min=0).unbind(-1)
        return hidden[self.rows[row], position].masked_fill(self.without_piece().unsqueeze(-1), 0)

    def gather_own(self, hidden: Tensor) -> Tensor:
        """The same from the states of the task's own rows, ``[r, positions, dim]``."""
        assert self.word_positions is not None
        row, position = self.word_positions.clamp(min=0).unbind(-1)
        return hidden[row, position].masked_fill(self.without_piece().unsqueeze(-1), 0)

    def without_piece(self) -> Tensor:
        """``[m, k]``, true for words that the tokenizer left without pieces."""
        assert self.word_positions is not None
        return self.word_positions[..., 0] < 0

    def mean_by_example(self, values: Tensor) -> Tensor:
        """``[r, labels]`` to ``[n, labels]``: the mean over a text's windows."""
        return values if len(values) == self.count else mean_by_id(values, self.example_ids, self.count)


def mean_by_id(values: Tensor, ids: Tensor, count: int) -> Tensor:
    """``[rows, n]`` to ``[count, n]``: the mean of the rows of each id, zero for an id without rows."""
    sums = values.new_zeros(count, values.shape[-1]).index_add(0, ids, values)
    rows = values.new_zeros(count).index_add(0, ids, values.new_ones(len(ids)))
    return sums / rows.clamp(min=1).unsqueeze(-1)
