"""MedNLI (Romanov and Shivade 2018) from its JSON lines, normalised to ASCII as in BLUE."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.records import Located
from biomtl.corpora.source import Source
from biomtl.errors import InputError, nearest
from biomtl.tasks.task import SPLITS, Split
from biomtl.text.printable import printable

_LABELS = ("contradiction", "entailment", "neutral")
_KEYS = ("pairID", "sentence1", "sentence2", "gold_label")


class MedNLI:
    """One record per pair: ``text_a`` is the premise, ``text_b`` the hypothesis; id = ``pairID``."""

    name = "MedNLI, original JSON lines"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if any of the three files is present."""
        return ("mednli",) if source.find(*(f"mli_{split}_v1.jsonl" for split in SPLITS)) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the pairs in the files' order."""
        for split in SPLITS:
            file = f"mli_{split}_v1.jsonl"
            name = one_copy(source, source.find(file), file)
            for number, line in source.lines(name):
                if line.strip():
                    yield "mednli", split, _record(line, source.where(name), number)


def _record(line: str, where: str, number: int) -> Located:
    row = _parse(line, where, number)
    if missing := [key for key in _KEYS if not isinstance(row.get(key), str)]:
        expected = f"an object with the text keys {', '.join(_KEYS)}"
        raise InputError(f"no {missing[0]!r}", path=where, line=number, expected=expected)
    label = row["gold_label"]
    if label not in _LABELS:
        raise InputError(f"gold_label {label[:40]!r}", path=where, line=number, fix=nearest(label[:40], _LABELS))
    texts = {"text_a": row["sentence1"], "text_b": row["sentence2"]}
    return Located((where, number), id=row["pairID"], doc_id=row["pairID"], label=label, **texts)


def _parse(line: str, where: str, number: int) -> dict[str, Any]:
    """The object on a line. BLUE normalises the line before parsing it, so characters written as escapes stay.

    A character that becomes a quotation mark would break the JSON; such a line is parsed first.
    """
    try:
        value = json.loads(printable(line))
    except (ValueError, RecursionError):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"not JSON ({error})", path=where, line=number, expected="one JSON object") from error
        if isinstance(value, dict):
            value = {key: printable(item) if isinstance(item, str) else item for key, item in value.items()}
    if not isinstance(value, dict):
        raise InputError(f"a JSON {type(value).__name__}", path=where, line=number, expected="a JSON object")
    if any("\ud800" <= c <= "\udfff" or c == "\0" for item in value.values() if isinstance(item, str) for c in item):
        raise InputError(
            "an unpaired surrogate or NUL", path=where, line=number, expected="text", fix="correct the escape"
        )
    return value
