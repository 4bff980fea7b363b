"""What every encoder is to the rest: rows in, hidden states out, and the heads that suit it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from biomtl.text.base import EncodedRow


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


class RowNetwork(nn.Module, ABC):
    """Layers over an encoder's rows, each row by itself; heads read their logits."""

    traceable: ClassVar[bool] = False
    """Whether one static graph holds it, for any number of rows and positions."""

    @abstractmethod
    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, labels]`` or ``[rows, positions, labels]``."""

    def stock_model(self) -> PreTrainedModel | None:
        """The stock class whose head these layers are, a stub for its encoder; ``None`` if there is none."""
        return None


class Encoder(nn.Module, ABC):
    """A shared encoder. ``dim`` is the width of its hidden states as heads see them (through ``layer_mix``)."""

    kind: ClassVar[str]
    joins_pairs: ClassVar[bool] = True
    """Whether two texts may stand in one sequence; else pairs are always encoded apart and compared."""
    dim: int

    @property
    def frozen(self) -> bool:
        """Whether no weight is trained, so that outputs are constants."""
        return not any(value.requires_grad for value in self.parameters())

    @abstractmethod
    def forward(self, inputs: Mapping[str, Tensor]) -> Encoded:
        """Encode the rows that the encoder's text processor collated."""

    def layer_mix(self) -> nn.Module | None:
        """A fresh ``Encoded -> Encoded`` that gives a task its own mix of the layers, where there is one.

        The encoder's own heads hold one; other heads over hidden states have to take it in.
        """
        return None

    def keep_activations(self, folder: Path | None, dtype: str, limit: int) -> bool:
        """Keep on disk what never changes while the encoder is frozen, where there is such a thing.

        Args:
            folder: where; ``None`` is the encoder's own place in the user's cache.
            dtype: ``bf16`` or ``fp32``.
            limit: most bytes.

        Returns:
            Whether anything is kept.
        """
        return False

    def prepare(self, rows: Sequence[EncodedRow], say: Callable[[str], None]) -> None:
        """Told of every row that will be trained on or scored, before the first step; most encoders do nothing."""
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
        """Trade computation for memory in training, where the encoder can."""
        raise ValueError(f"{type(self).__name__} has no gradient checkpointing")
