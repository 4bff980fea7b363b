"""Text to the inputs of a Hugging Face encoder."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from biomtl.errors import InputError
from biomtl.pretrained import load_tokenizer
from biomtl.storage.files import write_json
from biomtl.text.base import EncodedRow, EncodedText, TextInput
from biomtl.text.lengths import Lengths
from biomtl.text.levitated import MARKS, add_markers

if TYPE_CHECKING:
    import torch

CHUNK = 1000  # texts per tokenizer call: enough for its threads, little memory
MINIMUM_WINDOW = 16  # a window must have room for this many pieces of a pair's longer text


class TransformerProcessor:
    """A fast tokenizer with windows.

    Args:
        tokenizer: a ``PreTrainedTokenizerFast``.
        max_length: maximum positions per row, including special ones.
        stride: positions that neighbouring windows share.
    """

    kind: ClassVar[str] = "transformer"
    settings_file: ClassVar[str] = "processor.json"

    def __init__(self, tokenizer: Any, max_length: int = 128, stride: int | None = None) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f"{type(tokenizer).__name__} gives no character offsets",
                expected="a fast tokenizer",
                fix="save it once with AutoTokenizer(..., use_fast=True)",
            )
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.stride = max_length // 4 if stride is None else stride
        room = max_length - tokenizer.num_special_tokens_to_add(pair=True)
        if room < 2 or not 1 <= self.stride < room:
            raise InputError(
                f"max_length {max_length} with stride {self.stride}",
                expected=f"room besides {max_length - room} special tokens, and a stride from 1 to {max(room - 1, 1)}",
                fix="raise max_length or lower stride",
            )

    @classmethod
    def load(cls, folder: str | Path, max_length: int | None = None, stride: int | None = None) -> TransformerProcessor:
        """The tokenizer of a folder or hub name, with the lengths saved there unless given.

        Raises:
            InputError: no tokenizer was found.
        """
        if Path(folder).is_dir() and not _has_vocabulary(Path(folder)):
            # From config.json alone transformers makes an empty tokenizer, to which every word is unknown.
            raise _no_tokenizer(folder, "no tokenizer")
        try:
            tokenizer = load_tokenizer(folder)
            tokenizer("one text")  # with settings of a wrong kind, this fails and not the loading
        except InputError:
            raise
        except Exception as error:  # the tokenizers library raises the bare class for a broken file
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise _no_tokenizer(folder, f"no tokenizer could be loaded ({reason})") from error
        names = tokenizer.model_input_names
        sound = isinstance(names, list) and all(isinstance(name, str) for name in names) and "input_ids" in names
        if not sound or any(name.endswith("_mapping") for name in names):  # of characters, and no input
            raise _no_tokenizer(folder, f"a tokenizer with model_input_names {names!r:.60}")
        saved = Lengths.of(Path(folder) / cls.settings_file)
        length = max_length or saved.max_length or 128
        return cls(tokenizer, length, saved.stride if stride is None and max_length is None else stride)

    def identity(self, text: TextInput) -> Hashable:
        """The texts and how they are encoded; given words make no difference to a tokenizer."""
        return (text.texts, text.apart)

    def encode(self, texts: Sequence[TextInput]) -> list[EncodedText]:
        """Rows for every input.

        A text longer than ``max_length`` becomes overlapping windows. In a pair, windows of the longer text are joined
        to the shorter; only if the shorter leaves no room are both truncated, and ``truncated`` counts the loss.
        """
        results: list[EncodedText | None] = [None] * len(texts)
        for joined in (False, True):
            chosen = [i for i, text in enumerate(texts) if (len(text.texts) > 1 and not text.apart) == joined]
            for start in range(0, len(chosen), CHUNK):
                chunk = chosen[start : start + CHUNK]
                encoded = self._encode_alike([texts[i].texts for i in chunk], joined)
                for i, value in zip(chunk, encoded, strict=True):
                    results[i] = value
        return [result for result in results if result is not None]

    def _encode_alike(self, texts: list[tuple[str, ...]], joined: bool) -> list[EncodedText]:
        """Each text as its own sequence, or the first joined to each of the others."""
        if joined:
            encoded = self._pairs([(group[0], other) for group in texts for other in group[1:]])
        else:
            encoded = self._windows([text for group in texts for text in group])
        waiting = iter(encoded)
        results = []
        for group in texts:
            segments = [next(waiting) for _ in range(len(group) - joined)]
            for number, segment in enumerate(segments):
                for row in segment.rows:
                    row.segment_id = number
            results.append(
                EncodedText(
                    [row for segment in segments for row in segment.rows],
                    sum(segment.truncated for segment in segments),
                )
            )
        return results

    def _windows(self, texts: list[str]) -> list[EncodedText]:
        encoding = self._tokenize(texts, None, truncation=True)
        rows: list[list[EncodedRow]] = [[] for _ in texts]
        for i, owner in enumerate(_owners(encoding, len(texts))):
            rows[owner].append(self._row(encoding, i))
        del encoding  # of a very long text it is most of the memory
        full = [i for i in range(len(texts)) if len(rows[i][0]) == self.max_length]
        if full:
            whole = self.tokenizer([texts[i] for i in full], verbose=False)["input_ids"]
            for i, pieces in zip(full, whole, strict=True):
                special = self.tokenizer.num_special_tokens_to_add(pair=False)
                _refuse_loss(len(pieces), [len(row) for row in rows[i]], self.stride + special)
        return [EncodedText(r) for r in rows]

    def _pairs(self, pairs: list[tuple[str, str]]) -> list[EncodedText]:
        whole = self.tokenizer([a for a, _ in pairs], [b for _, b in pairs], return_offsets_mapping=True, verbose=False)
        results = []
        for i, (a, b) in enumerate(pairs):
            length = len(whole["input_ids"][i])
            if length <= self.max_length:
                results.append(EncodedText([self._row(whole, i)]))
                continue
            sides = [s for s in whole.sequence_ids(i) if s is not None]
            shorter = min(sides.count(0), sides.count(1))
            room = self.max_length - self.tokenizer.num_special_tokens_to_add(pair=True) - shorter
            if room >= MINIMUM_WINDOW:
                side = "only_first" if sides.count(0) > sides.count(1) else "only_second"
                stride = min(self.stride, room // 2)
                encoding = self._tokenize([a], [b], truncation=side, stride=stride)
                rows = [self._row(encoding, k) for k in range(len(encoding["input_ids"]))]
                special = self.tokenizer.num_special_tokens_to_add(pair=True)
                _refuse_loss(length, [len(row) for row in rows], stride + special + shorter)
                results.append(EncodedText(rows))
            else:
                encoding = self.tokenizer(
                    [a], [b], truncation="longest_first", max_length=self.max_length, return_offsets_mapping=True
                )
                results.append(EncodedText([self._row(encoding, 0)], truncated=length - len(encoding["input_ids"][0])))
        return results

    def _tokenize(self, a: list[str], b: list[str] | None, truncation: bool | str, stride: int | None = None) -> Any:
        return self.tokenizer(
            a,
            b,
            truncation=truncation,
            max_length=self.max_length,
            stride=self.stride if stride is None else stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            verbose=False,
        )

    def _row(self, encoding: Any, i: int) -> EncodedRow:
        names = [n for n in self.tokenizer.model_input_names if n in encoding and n != "attention_mask"]
        sides = np.array([-1 if s is None else s for s in encoding.sequence_ids(i)], dtype=np.int8)
        offsets = np.array(encoding["offset_mapping"][i], dtype=np.int32).reshape(-1, 2)
        inputs = {name: np.array(encoding[name][i], dtype=np.int32) for name in names}
        if not len(offsets):  # without special tokens an empty text has no positions, but encoders need a row
            inputs = {name: np.array([self._fill(name)], dtype=np.int32) for name in names}
            offsets, sides = np.zeros((1, 2), dtype=np.int32), np.array([-1], dtype=np.int8)
        return EncodedRow(inputs, offsets, sides)

    def _fill(self, name: str) -> int:
        """The padding value of an input."""
        return self.tokenizer.pad_token_id or 0 if name == "input_ids" else 0

    def collate(self, rows: Sequence[EncodedRow]) -> Mapping[str, torch.Tensor]:
        """``input_ids``, ``attention_mask`` and, if the model has them, ``token_type_ids``: int64 [rows, longest].

        Rows with markers add ``position_ids`` and ``marker_groups`` (see `text.levitated`).
        """
        import torch

        longest = max(len(row) for row in rows)
        tensors = {}
        for name in rows[0].inputs:
            array = np.full((len(rows), longest), self._fill(name), dtype=np.int64)
            for i, row in enumerate(rows):
                array[i, : len(row.offsets)] = row.inputs[name]
            tensors[name] = torch.from_numpy(array)
        lengths = np.array([len(row.offsets) for row in rows])
        mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
        inputs = {**tensors, "attention_mask": torch.from_numpy(mask)}
        if all(row.markers is None for row in rows):
            return inputs
        pieces = [self.tokenizer.encode(mark, add_special_tokens=False)[-1] for mark in MARKS]
        return add_markers(inputs, rows, pieces)

    def save(self, folder: Path) -> None:
        """The tokenizer's own files and the lengths."""
        self.tokenizer.save_pretrained(folder)
        write_json(folder / self.settings_file, {"max_length": self.max_length, "stride": self.stride})


def _refuse_loss(length: int, windows: list[int], common: int) -> None:
    """Fail if windows don't hold a text whole, as with tokenizers 0.23.1 and 0.23.2, which forget its middle.

    Args:
        length: positions of the whole sequence.
        windows: positions of each window.
        common: of these, what each window has in common with the one before.
    """
    held = sum(windows) - (len(windows) - 1) * common
    if held != length:
        problem = f"tokenizers {version('tokenizers')} cuts {length} word pieces into windows that hold {held} of them"
        raise InputError(problem, fix="pip install -U tokenizers")


def _owners(encoding: Any, count: int) -> Sequence[int]:
    return encoding.get("overflow_to_sample_mapping", range(count))


def _has_vocabulary(folder: Path) -> bool:
    names = ("tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "sentencepiece.bpe.model", "tokenizer.model")
    return any((folder / name).is_file() for name in names)


def _no_tokenizer(folder: str | Path, problem: str) -> InputError:
    return InputError(
        problem,
        path=folder,
        expected="tokenizer.json or vocab.txt beside the weights",
        fix="copy the tokenizer's files into the folder",
    )
