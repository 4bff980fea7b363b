"""WordPiece vocabularies: reading, checking, detecting case, and making a tokenizer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from biomtl.errors import InputError
from biomtl.pretrained import load_tokenizer
from biomtl.storage.files import read_lines

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Special tokens such as [CLS] or [unused7], which say nothing about case.
_MARK = re.compile(r"\[.*\]|<.*>")


@dataclass(frozen=True)
class Vocabulary:
    """The pieces in id order, and whether text is lower-cased before it is split."""

    pieces: tuple[str, ...]
    lower: bool
    reason: str

    def write(self, folder: Path) -> None:
        """Write ``vocab.txt``."""
        text = "".join(f"{piece}\n" for piece in self.pieces)
        (folder / "vocab.txt").write_text(text, encoding="utf-8", newline="\n")

    def write_tokenizer(self, folder: Path, max_length: int) -> None:
        """Write ``vocab.txt`` and a fast BERT tokenizer that opens with ``AutoTokenizer``."""

        self.write(folder)
        tokenizer = load_tokenizer(
            folder,
            "BertTokenizerFast",
            do_lower_case=self.lower,
            model_max_length=max_length,
            # Google's tokenizer recognises no special tokens in text: "[SEP]" becomes five pieces, not a separator.
            split_special_tokens=True,
        )
        tokenizer.save_pretrained(str(folder))


def read_vocabulary(path: Path, size: int, size_from: str, lower: bool | None = None) -> Vocabulary:
    """The vocabulary of a model with ``size`` embeddings.

    Args:
        path: ``vocab.txt``, one piece per line.
        size: the model's number of pieces.
        size_from: the source of that number, for error messages.
        lower: whether to lower-case text; ``None`` decides from the pieces.

    Raises:
        InputError: the number of pieces differs, a special token is missing, or the file isn't text.
    """
    pieces = tuple(line for _, line in read_lines(path))
    if len(pieces) != size:
        problem = f"{len(pieces)} pieces"
        raise InputError(problem, path=path, expected=f"{size} ({size_from})", fix="give the model's own --vocab FILE")
    missing = [piece for piece in _SPECIAL if piece not in pieces]
    if missing:
        raise InputError(f"no piece {', '.join(missing)}", path=path, expected="a BERT vocabulary, one piece per line")
    if lower is not None:
        return Vocabulary(pieces, lower, "lower-cased, as asked" if lower else "cased, as asked")
    cased = next((piece for piece in pieces if re.search("[A-Z]", piece) and not _MARK.fullmatch(piece)), None)
    if cased is not None:
        return Vocabulary(pieces, False, f"cased: the vocabulary has pieces with capital letters, such as {cased!r}")
    return Vocabulary(pieces, True, "lower-cased: no piece of the vocabulary has a capital letter")
