"""What every encoder is to the rest: rows in, hidden states out, and the heads that suit it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn


@dataclass(slots=True)
class Encoded:
    """An encoder's output.

    Attributes:
        hidden: ``[rows, positions, dim]``.
        mask: ``[rows, positions]``, 1 at real positions.
        pooled: ``[rows, dim]`` where the family pools inside its encoder, else ``None``.
        segments: ``[rows, positions]``, 0 or 1 for the first or second text, where the encoder is told so.
    """

    hidden: Tensor
    mask: Tensor
    pooled: Tensor | None = None
    segments: Tensor | None = None

    def select(self, rows: Tensor) -> Encoded:
        """The given rows only; the encoder itself ran once for all of them."""
        pooled = None if self.pooled is None else self.pooled[rows]
        segments = None if self.segments is None else self.segments[rows]
        return Encoded(self.hidden[rows], self.mask[rows], pooled, segments)

    def mean(self) -> Tensor:
        """``[rows, dim]``: the mean over real positions."""
        mask = self.mask.unsqueeze(-1).to(self.hidden.dtype)
        return (self.hidden * mask).sum(1) / mask.sum(1).clamp(min=1)


class Encoder(nn.Module, ABC):
    """A shared encoder. ``dim`` is the width of its hidden states."""

    kind: ClassVar[str]
    dim: int

    @abstractmethod
    def forward(self, inputs: Mapping[str, Tensor]) -> Encoded:
        """Encode the rows that the encoder's text processor collated."""

    @abstractmethod
    def sequence_head(self, labels: int) -> nn.Module:
        """The family's own head for whole rows: ``Encoded -> [rows, labels]``."""

    @abstractmethod
    def token_head(self, labels: int) -> nn.Module:
        """The family's own head for positions: ``Encoded -> [rows, positions, labels]``."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write weights and configuration, safetensors only."""

    def gradient_checkpointing(self) -> None:
        """Trade computation for memory in training, where the encoder can."""
        raise ValueError(f"{type(self).__name__} has no gradient checkpointing")
