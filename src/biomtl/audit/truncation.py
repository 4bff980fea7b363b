"""What a tool that truncates texts never sees. biomtl reads long texts in windows and loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from biomtl.text.words import words

Record = Mapping[str, Any]
Pieces = Callable[[Sequence[str], int], Sequence[int | None]]
"""Texts and a limit to the character at which each text is cut, ``None`` if it fits."""


@dataclass(frozen=True)
class Loss:
    """What a limit loses: rows truncated, words, and gold mentions (or relation arguments), each with its total."""

    rows: int
    words: int
    all_words: int
    mentions: int
    all_mentions: int


def word_starts(texts: Sequence[str], limit: int) -> list[int | None]:
    """Cuts after ``limit`` words: what word-level tools lose, and a lower bound for tools that count word pieces."""
    cuts: list[int | None] = []
    for text in texts:
        starts = [start for start, _ in words(text)]
        cuts.append(starts[limit] if len(starts) > limit else None)
    return cuts


def lost(records: Sequence[Record], limit: int, pieces: Pieces) -> Loss:
    """Count what truncating every row's text to ``limit`` positions loses.

    A pair counts as its concatenated texts. A mention is lost if its last character is.
    """
    texts = [_text(record) for record in records]
    cuts = dict(zip(distinct := list(dict.fromkeys(texts)), pieces(distinct, limit), strict=True))
    rows = gone = total = mentions = all_mentions = 0
    for record, text in zip(records, texts, strict=True):
        cut = cuts[text]
        ends = _mention_ends(record)
        spans = [end for _, end in words(text)]
        total += len(spans)
        all_mentions += len(ends)
        if cut is not None:
            rows += 1
            gone += sum(end > cut for end in spans)
            mentions += sum(end > cut for end in ends)
    return Loss(rows, gone, total, mentions, all_mentions)


def _text(record: Record) -> str:
    if "tokens" in record:
        return " ".join(record["tokens"])
    return " ".join(str(record[key]) for key in ("text", "text_a", "text_b") if key in record)


def _mention_ends(record: Record) -> list[int]:
    """Where the gold mentions (tagged ones, or the arguments of a relation) end in the text."""
    if "tags" not in record:
        return [int(entity["end"]) for entity in record.get("entities", ())]
    ends: list[int] = []
    at = 0
    for token, tag in zip(record["tokens"], record["tags"], strict=False):
        at += len(token)
        if tag.startswith("B"):
            ends.append(at)
        elif tag.startswith("I") and ends:
            ends[-1] = at
        at += 1
    return ends
