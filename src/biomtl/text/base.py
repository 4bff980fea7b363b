"""The input of encoders: texts, and the rows of positions with character offsets that are made from them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Span = tuple[int, int]  # [start, end) in characters


@dataclass(frozen=True, slots=True)
class TextInput:
    """One text or several: two that are read together, or one that is paired with each of the others.

    ``apart`` asks for separate rows instead of joined sequences. ``words`` are the spans of the words in ``texts[0]``
    if the record has its own; processors that split text into words use them instead.
    """

    texts: tuple[str, ...]
    apart: bool = False
    words: tuple[Span, ...] | None = None


@dataclass(slots=True)
class EncodedRow:
    """One sequence for the encoder: a text, a window of a long text, or a pair.

    Attributes:
        inputs: the encoder's named inputs, each ``[positions, ...]``.
        offsets: ``[positions, 2]`` character spans in the position's text; empty for special positions.
        sides: ``[positions]`` 0 or 1 for the first or second text, -1 for special positions.
        segment_id: which text the row holds if they are encoded apart, else which of the later texts it joins to the
            first.
        markers: ``[markers, 3]`` positions beside the text, or ``None``: the position whose place each shares, the
            argument that it stands for (0 or 1), and the number of its output from 1 (see `text.levitated`).
    """

    inputs: dict[str, NDArray[Any]]
    offsets: NDArray[np.int32]
    sides: NDArray[np.int8]
    segment_id: int = 0
    markers: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.offsets) + (0 if self.markers is None else len(self.markers))


@dataclass(slots=True)
class EncodedText:
    """The rows of one ``TextInput``; ``truncated`` counts the positions that did not fit into any row."""

    rows: list[EncodedRow]
    truncated: int = 0


class TextProcessor(Protocol):
    """Text to encoder input. Each kind of encoder has one, which is saved with the encoder."""

    kind: ClassVar[str]
    max_length: int
    stride: int

    def identity(self, text: TextInput) -> Hashable:
        """Equal for inputs that give the same rows, so that each is encoded once for all of its tasks."""
        ...

    def encode(self, texts: Sequence[TextInput]) -> list[EncodedText]:
        """Rows for every input; long inputs become overlapping windows."""
        ...

    def collate(self, rows: Sequence[EncodedRow]) -> Mapping[str, torch.Tensor]:
        """Named tensors ``[rows, longest, ...]`` with ``attention_mask``, padded to the longest row."""
        ...

    def save(self, folder: Path) -> None:
        """Write the files that ``load_processor`` reads."""
        ...
