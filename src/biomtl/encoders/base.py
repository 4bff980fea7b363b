"""The interface of encoders: rows in, hidden states out, and the encoder's own heads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from biomtl.encoders.layout import RowLayout

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from biomtl.text.base import EncodedRow


@dataclass(slots=True)
class Encoded:
    """An encoder's output.

    Attributes:
        hidden: ``[rows, positions, dim]``.
        mask: ``[rows, positions]``, 1 at real positions.
        pooled: ``[rows, dim]`` if the family pools inside its encoder, otherwise ``None``.
        segments: ``[rows, positions]``, 0 or 1 for the first or second text, if the encoder distinguishes them.
        layout: where the mask is 1, if the batch says so.
    """

    hidden: Tensor
    mask: Tensor
    pooled: Tensor | None = None
    segments: Tensor | None = None
    layout: RowLayout | None = None

    def select(self, rows: Tensor) -> Encoded:
        """The given rows only; the encoder itself ran once for all of them."""
        pooled = None if self.pooled is None else self.pooled[rows]
        segments = None if self.segments is None else self.segments[rows]
        return Encoded(self.hidden[rows], self.mask[rows], pooled, segments)

    @classmethod
    def concatenate(cls, pieces: Sequence[Encoded]) -> Encoded:
        """The rows of all pieces, which are equally long."""
        pooled = [piece.pooled for piece in pieces if piece.pooled is not None]
        segments = [piece.segments for piece in pieces if piece.segments is not None]
        return cls(
            torch.cat([piece.hidden for piece in pieces]),
            torch.cat([piece.mask for piece in pieces]),
            torch.cat(pooled) if pooled else None,
            torch.cat(segments) if segments else None,
        )

    def real_positions(self) -> RowLayout:
        """The layout, read off the mask if the rows aren't those of a batch."""
        return self.layout or RowLayout.of(self.mask)

    def mean(self) -> Tensor:
        """``[rows, dim]``: the mean over real positions."""
        mask = self.mask.unsqueeze(-1).to(self.hidden.dtype)
        return (self.hidden * mask).sum(1) / mask.sum(1).clamp(min=1)


class RowNetwork(nn.Module, ABC):
    """Layers over single encoder rows, whose logits heads read."""

    traceable: ClassVar[bool] = False
    """Whether it fits in one static graph, for any number of rows and positions."""

    @abstractmethod
    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, labels]`` or ``[rows, positions, labels]``."""

    def stock_model(self) -> PreTrainedModel | None:
        """The stock class whose head these layers are, a stub for its encoder; ``None`` if there is none."""
        return None


class Encoder(nn.Module, ABC):
    """A shared encoder. ``dim`` is the width of its hidden states as seen by heads (through ``layer_mix``)."""

    kind: ClassVar[str]
    joins_pairs: ClassVar[bool] = True
    """Whether it can read two texts in one sequence; otherwise pairs are encoded separately and compared."""
    takes_markers: bool = False
    """Whether positions beside a text can read it without being read (see `text.levitated`)."""
    dim: int

    @property
    def family(self) -> str:
        """The architecture's name."""
        return self.kind

    @property
    def frozen(self) -> bool:
        """Whether no weight is trained, so that outputs are constants."""
        return not any(value.requires_grad for value in self.parameters())

    @abstractmethod
    def forward(self, inputs: Mapping[str, Tensor]) -> Encoded:
        """Encode the rows that the encoder's text processor collated."""

    def layer_mix(self) -> nn.Module | None:
        """A fresh ``Encoded -> Encoded`` module with a task's own mix of the layers, if the encoder has one.

        The encoder's own heads contain one; other heads over hidden states must include it.
        """
        return None

    def keep_activations(self, folder: Path | None, dtype: str, limit: int) -> bool:
        """Keep on disk whatever doesn't change while the encoder is frozen, if the encoder supports it.

        Args:
            folder: the folder; ``None`` for the default in the user's cache.
            dtype: ``bf16`` or ``fp32``.
            limit: maximum number of bytes.

        Returns:
            Whether anything is kept.
        """
        return False

    def prepare(self, rows: Sequence[EncodedRow], say: Callable[[str], None]) -> None:
        """Called before the first step with every row for training or scoring; most encoders do nothing."""
        return

    @abstractmethod
    def sequence_head(self, labels: int) -> RowNetwork:
        """The layers of the family's own head for whole rows: ``Encoded -> [rows, labels]``."""

    @abstractmethod
    def token_head(self, labels: int) -> RowNetwork:
        """The layers of the family's own head for positions: ``Encoded -> [rows, positions, labels]``."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write weights and configuration, safetensors only."""

    def gradient_checkpointing(self) -> None:
        """Trade computation for memory in training, if the encoder supports it."""
        raise ValueError(f"{type(self).__name__} has no gradient checkpointing")
