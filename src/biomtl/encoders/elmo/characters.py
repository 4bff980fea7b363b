"""A batch of sentences as a biLM reads it, with every distinct word once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biomtl.text.elmo import PADDING, word_ids

__all__ = ["PADDING", "WordBatch", "word_batch", "word_ids"]


@dataclass(frozen=True)
class WordBatch:
    """Sentences without padding: every distinct word once, and the positions where it occurs.

    Attributes:
        characters: ids ``[distinct, size]``; row 0 is the begin marker's, row 1 the end marker's.
        index: ``[positions]`` rows of ``characters``, one sentence after another, each between its two markers.
        lengths: positions of each sentence, markers included (so 2 for a sentence of no words).
    """

    characters: Tensor
    index: Tensor
    lengths: tuple[int, ...]

    def to(self, device: torch.device | str) -> WordBatch:
        """The same batch on ``device``."""
        return WordBatch(self.characters.to(device), self.index.to(device), self.lengths)

    def inner(self) -> Tensor:
        """Positions ``[words]`` (on the CPU) of the words, without the markers."""
        lengths = np.array(self.lengths, dtype=np.int64)
        ends = np.cumsum(lengths)
        keep = np.ones(int(lengths.sum()), dtype=bool)
        keep[ends - lengths] = keep[ends - 1] = False
        return torch.from_numpy(np.flatnonzero(keep))


def word_batch(sentences: Sequence[Sequence[str] | NDArray[np.int16]], size: int = 50) -> WordBatch:
    """A batch of sentences.

    Args:
        sentences: words, or their ids ``[words, size]``.
        size: ``char_cnn.max_characters_per_token``.
    """
    rows: dict[str | bytes, int] = {}
    index: list[int] = []
    for sentence in (["<S>", "</S>"], *sentences):
        keys = sentence if not isinstance(sentence, np.ndarray) else [ids.tobytes() for ids in sentence]
        index.append(0)
        index.extend(rows.setdefault(key, len(rows)) for key in keys)
        index.append(1)
    table = [word_ids(key, size) if isinstance(key, str) else np.frombuffer(key, np.int16) for key in rows]
    characters = torch.from_numpy(np.stack(table)).long()
    lengths = tuple(len(sentence) + 2 for sentence in sentences)
    return WordBatch(characters, torch.tensor(index[4:], dtype=torch.int64), lengths)
