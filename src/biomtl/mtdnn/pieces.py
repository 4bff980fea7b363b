"""Texts from the word pieces that MT-DNN's data hold after its tokenisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from biomtl.errors import InputError
from biomtl.storage.files import read_lines

MARKS = ("[CLS]", "[SEP]", "[PAD]")
CONTINUED = "##"
_RARE = "⌧⍰☐⎔⌬"  # one of them that isn't in the vocabulary stands for an unknown word, and is one again


@dataclass(frozen=True)
class Pieces:
    """A BERT's vocabulary.

    The words of a text are joined by blanks. Its own tokenizer cuts them into the same pieces again, since it separates
    at blanks and punctuation; what case and accents the text had before is lost.
    """

    pieces: tuple[str, ...]
    unknown: str

    @classmethod
    def read(cls, path: Path) -> Pieces:
        """The pieces of a ``vocab.txt``.

        Raises:
            InputError: no such file, or not a BERT's vocabulary.
        """
        if not path.is_file():
            raise InputError("no such file", path=path, expected="the vocab.txt of the tokenizer", fix="check the path")
        pieces = tuple(line for _, line in read_lines(path))
        if not set(MARKS) <= set(pieces):
            raise InputError(
                "no [CLS], [SEP] and [PAD]", path=path, expected="the vocab.txt of a BERT, one piece per line"
            )
        return cls(pieces, next(char for char in _RARE if char not in pieces))

    def texts(self, ids: Sequence[int], types: Sequence[int]) -> list[str]:
        """The one or two texts of a row, told apart by their type ids."""
        if len(ids) != len(types):
            raise ValueError(f"{len(ids)} pieces with {len(types)} type ids")
        named = [(self._piece(number), kind) for number, kind in zip(ids, types, strict=True)]
        kept = [(piece, kind) for piece, kind in named if piece not in MARKS]
        texts = [
            " ".join(_words([piece for piece, _ in group])) for _, group in groupby(kept, key=lambda pair: pair[1])
        ]
        if not 0 < len(texts) < 3:
            raise ValueError(f"{len(texts)} texts, expected one or two")
        return texts

    def tagged(self, ids: Sequence[int], tags: Sequence[str]) -> tuple[list[str], list[str]]:
        """The words and tags of a row whose continuation pieces are tagged ``X``."""
        if len(ids) != len(tags):
            raise ValueError(f"{len(ids)} pieces with {len(tags)} tags")
        tokens: list[str] = []
        kept: list[str] = []
        for number, tag in zip(ids, tags, strict=True):
            piece = self._piece(number)
            if piece in MARKS:
                continue
            if tag == "X" and tokens:
                tokens[-1] += piece.removeprefix(CONTINUED)
            else:
                tokens.append(piece)
                kept.append(tag)
        return tokens, kept

    def _piece(self, number: int) -> str:
        if type(number) is not int or not 0 <= number < len(self.pieces):
            raise ValueError(f"piece {number!r:.20}, expected 0 to {len(self.pieces) - 1}: is it another vocabulary?")
        piece = self.pieces[number]
        return self.unknown if piece == "[UNK]" else piece


def _words(pieces: Sequence[str]) -> list[str]:
    words: list[str] = []
    for piece in pieces:
        if piece.startswith(CONTINUED) and words:
            words[-1] += piece.removeprefix(CONTINUED)
        else:
            words.append(piece)
    return words
