"""Text to the inputs of an ELMo encoder: one position per word."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from biomtl.errors import InputError
from biomtl.storage.files import write_json
from biomtl.text.base import EncodedRow, EncodedText, Span, TextInput
from biomtl.text.lengths import Lengths
from biomtl.text.words import words

if TYPE_CHECKING:
    import torch

# Every id is one above bilm-tf's own, so that 0 means "no word": byte b is b + 1.
BEGIN_SENTENCE, END_SENTENCE, BEGIN_WORD, END_WORD, PADDING = 257, 258, 259, 260, 261
MARKERS = {"<S>": BEGIN_SENTENCE, "</S>": END_SENTENCE}

NO_WORDS: tuple[Span, ...] = ((0, 0),)  # a text without words is read as one empty word


def word_ids(word: str, size: int = 50) -> NDArray[np.int16]:
    """Character ids ``[size]`` of a word: its UTF-8 bytes between markers, truncated to fit, then padding.

    Truncation may split a character. Lone surrogates are left out, the empty word is just the two markers, and ``<S>``
    and ``</S>`` are the sentence markers (as in bilm-tf).
    """
    ids = np.full(size, PADDING, dtype=np.int16)
    marker = MARKERS.get(word)
    data = np.frombuffer(word.encode("utf-8", "ignore")[: size - 2], dtype=np.uint8)
    codes = [marker] if marker else data.astype(np.int16) + 1
    ids[0] = BEGIN_WORD
    ids[1 : 1 + len(codes)] = codes
    ids[1 + len(codes)] = END_WORD
    return ids


class ElmoProcessor:
    """Words (the record's own, or split from the text) as characters.

    The two texts of a pair are always separate rows: a biLM has never seen two sentences in one sequence.

    Args:
        max_length: maximum words per row; longer texts become overlapping windows.
        stride: words that neighbouring windows share.
        size: maximum characters per word, the biLM's ``max_characters_per_token``.
    """

    kind: ClassVar[str] = "elmo"
    settings_file: ClassVar[str] = "processor.json"

    def __init__(self, max_length: int = 512, stride: int | None = None, size: int = 50) -> None:
        self.max_length, self.size = max_length, size
        self.stride = max_length // 4 if stride is None else stride
        if not 0 <= self.stride < max_length:
            raise InputError(
                f"max_length {max_length} with stride {self.stride}",
                expected="a max_length of 1 or more, and a stride below it",
                fix="raise max_length or lower stride",
            )

    @classmethod
    def load(
        cls, folder: str | Path, max_length: int | None = None, stride: int | None = None, *, size: int = 50
    ) -> ElmoProcessor:
        """The processor for a biLM's folder, with the lengths saved beside it unless given."""
        saved = Lengths.of(Path(folder) / cls.settings_file)
        length = saved.max_length or 512 if max_length is None else max_length
        saved_stride = saved.stride if stride is None and max_length is None else stride
        return cls(length, saved_stride, size)

    def identity(self, text: TextInput) -> Hashable:
        """The texts and their words; giving the words that would be split from the text makes no difference."""
        given = text.words
        return (text.texts, None if given is None or given == tuple(words(text.texts[0])) else given)

    def encode(self, texts: Sequence[TextInput]) -> list[EncodedText]:
        """Rows for every input; nothing is truncated."""
        known: dict[str, NDArray[np.int16]] = {}
        encoded = []
        for text in texts:
            rows: list[EncodedRow] = []
            for segment, string in enumerate(text.texts):
                spans = text.words if segment == 0 and text.words is not None else tuple(words(string))
                rows.extend(self._windows(string, spans, segment, known))
            encoded.append(EncodedText(rows))
        return encoded

    def _windows(
        self, text: str, spans: Sequence[Span], segment: int, known: dict[str, NDArray[np.int16]]
    ) -> list[EncodedRow]:
        side = segment if spans else -1
        spans = spans or NO_WORDS
        ids = []
        for start, end in spans:
            word = text[start:end]
            if word not in known:
                known[word] = word_ids(word, self.size)
            ids.append(known[word])
        rows = []
        for start in range(0, max(1, len(spans) - self.stride), self.max_length - self.stride):
            window = slice(start, start + self.max_length)
            offsets = np.array(spans[window], dtype=np.int32)
            sides = np.full(len(offsets), side, dtype=np.int8)
            rows.append(EncodedRow({"character_ids": np.stack(ids[window])}, offsets, sides, segment))
        return rows

    def collate(self, rows: Sequence[EncodedRow]) -> Mapping[str, torch.Tensor]:
        """``character_ids`` int16 ``[rows, longest, size]`` (0 in the padding) and ``attention_mask``."""
        import torch

        longest = max(len(row) for row in rows)
        ids = np.zeros((len(rows), longest, self.size), dtype=np.int16)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row.inputs["character_ids"]
            mask[i, : len(row)] = 1
        return {"character_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}

    def save(self, folder: Path) -> None:
        """The lengths; the biLM's own files hold the rest."""
        write_json(folder / self.settings_file, {"max_length": self.max_length, "stride": self.stride})
