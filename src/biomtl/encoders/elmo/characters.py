"""Words as the character ids a biLM reads (bilm-tf's ``Batcher``, allennlp's ``batch_to_ids``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Every id is one above bilm-tf's own, so that 0 means "no word": byte b is b + 1.
BEGIN_SENTENCE, END_SENTENCE, BEGIN_WORD, END_WORD, PADDING = 257, 258, 259, 260, 261
MARKERS = {"<S>": BEGIN_SENTENCE, "</S>": END_SENTENCE}


def word_ids(word: str, size: int = 50) -> np.ndarray:
    """Character ids ``[size]`` of a word: its UTF-8 bytes between markers, cut to fit, then padding.

    The cut may split a character. Lone surrogates are left out, the empty word is two markers, and ``<S>`` and
    ``</S>`` are the sentence markers (as in bilm-tf).
    """
    ids = np.full(size, PADDING, dtype=np.int64)
    marker = MARKERS.get(word)
    data = np.frombuffer(word.encode("utf-8", "ignore")[: size - 2], dtype=np.uint8)
    codes = [marker] if marker else data.astype(np.int64) + 1
    ids[0] = BEGIN_WORD
    ids[1 : 1 + len(codes)] = codes
    ids[1 + len(codes)] = END_WORD
    return ids


@dataclass(frozen=True)
class WordBatch:
    """Sentences without padding: every distinct word once, and where it stands.

    Attributes:
        characters: ids ``[distinct, size]``; row 0 is the begin marker's, row 1 the end marker's.
        index: ``[positions]`` rows of ``characters``, sentence after sentence, each between its two markers.
        lengths: positions of each sentence, markers included (so 2 for a sentence of no words).
    """

    characters: Tensor
    index: Tensor
    lengths: tuple[int, ...]

    def to(self, device: torch.device | str) -> WordBatch:
        """The same batch on ``device``."""
        return WordBatch(self.characters.to(device), self.index.to(device), self.lengths)

    def inner(self) -> Tensor:
        """Positions ``[words]`` (on the CPU) of the words, markers left out."""
        lengths = np.array(self.lengths, dtype=np.int64)
        ends = np.cumsum(lengths)
        keep = np.ones(int(lengths.sum()), dtype=bool)
        keep[ends - lengths] = keep[ends - 1] = False
        return torch.from_numpy(np.flatnonzero(keep))


def word_batch(sentences: Sequence[Sequence[str]], size: int = 50) -> WordBatch:
    """The batch of some tokenised sentences; ``size`` is ``char_cnn.max_characters_per_token``."""
    rows = {"<S>": 0, "</S>": 1}
    index: list[int] = []
    for words in sentences:
        index.append(0)
        index.extend(rows.setdefault(word, len(rows)) for word in words)
        index.append(1)
    characters = np.stack([word_ids(word, size) for word in rows])
    lengths = tuple(len(words) + 2 for words in sentences)
    return WordBatch(torch.from_numpy(characters), torch.tensor(index, dtype=torch.int64), lengths)
