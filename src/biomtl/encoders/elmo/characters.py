"""Words as the character ids a biLM reads (bilm-tf's ``Batcher``, allennlp's ``batch_to_ids``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Every id is one above bilm-tf's own, so that 0 means "no word": byte b is b + 1.
BEGIN_SENTENCE, END_SENTENCE, BEGIN_WORD, END_WORD, PADDING = 257, 258, 259, 260, 261
MARKERS = {"<S>": BEGIN_SENTENCE, "</S>": END_SENTENCE}


def word_ids(word: str, size: int = 50) -> NDArray[np.int16]:
    """Character ids ``[size]`` of a word: its UTF-8 bytes between markers, cut to fit, then padding.

    The cut may split a character. Lone surrogates are left out, the empty word is two markers, and ``<S>`` and
    ``</S>`` are the sentence markers (as in bilm-tf).
    """
    ids = np.full(size, PADDING, dtype=np.int16)
    marker = MARKERS.get(word)
    data = np.frombuffer(word.encode("utf-8", "ignore")[: size - 2], dtype=np.uint8)
    codes = [marker] if marker else data.astype(np.int16) + 1
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


def word_batch(sentences: Sequence[Sequence[str] | NDArray[np.int16]], size: int = 50) -> WordBatch:
    """The batch of some sentences.

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
