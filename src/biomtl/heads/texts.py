"""One output per text, or per candidate of a text."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from biomtl.encoders.base import RowNetwork
from biomtl.heads.base import Loss, NetworkHead, Reading
from biomtl.heads.losses import text_cross_entropy
from biomtl.heads.readings import read_texts
from biomtl.heads.rows import TaskRows, mean_by_id


class TextHead(NetworkHead):
    """A network over whole rows; a long text's logits are the mean over its windows.

    Args:
        network: ``Encoded -> [rows, labels]``.
        objective: the loss.
    """

    reading: ClassVar[Reading | None] = "texts"

    def __init__(self, network: RowNetwork, objective: Loss) -> None:
        super().__init__(objective)
        self.network = network

    def join(self, values: Tensor, rows: TaskRows) -> Tensor:
        """``[texts, labels]``."""
        return read_texts(values, rows)


class RankingHead(NetworkHead):
    """A score for each row, which holds a text and one of its candidates; softmax over a text's candidates.

    Args:
        network: ``Encoded -> [rows, 1]``.
    """

    def __init__(self, network: RowNetwork) -> None:
        super().__init__(text_cross_entropy)
        self.network = network

    def join(self, values: Tensor, rows: TaskRows) -> Tensor:
        """``[texts, most candidates]``, padded with ``-inf``."""
        slots, filled = candidate_slots(rows)
        scores = mean_by_id(values, slots, filled.numel()).view(filled.shape)
        return scores.masked_fill(~filled, -torch.inf)


def candidate_slots(rows: TaskRows) -> tuple[Tensor, Tensor]:
    """Place rows in a table of texts by segments.

    Returns:
        ``[rows]`` each row's index in the flattened table, and ``[texts, segments]``, which entries are filled.
    """
    slots = rows.example_ids * rows.segments + rows.segment_ids
    filled = torch.zeros(rows.count * rows.segments, dtype=torch.bool, device=slots.device)
    filled[slots] = True
    return slots, filled.view(rows.count, rows.segments)
