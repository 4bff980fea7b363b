"""Texts and documents that occur in both training and evaluation data, across all tasks of a suite."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from biomtl.tasks.task import Split

Record = Mapping[str, Any]
Splits = Mapping[Split, Sequence[Record]]
Place = tuple[str, Split]  # a task and one of its splits

FEWEST_WORDS = 5  # "Conclusions" and "No effect was seen" occur in many abstracts and reveal nothing
_PLACEHOLDER = re.compile(r"@[A-Za-z-]+\$")
_WORD = re.compile(r"\w+")
_ROW_NUMBER = re.compile(r"[0-9]{1,4}")


@dataclass(frozen=True, slots=True)
class Shared:
    """A training row that shares its document or a text with a scored row.

    Attributes:
        task: the row's task.
        split: the row's split.
        row: its index in the split, from 0.
        id: its id.
        why: ``document`` or ``text``.
        other: the task and split that is scored on it.
    """

    task: str
    split: Split
    row: int
    id: str
    why: str
    other: Place


def texts_of(record: Record) -> Iterator[str]:
    """The texts of a record: one text, the two of a pair, or the joined tokens."""
    for key in ("text", "text_a", "text_b"):
        if isinstance(record.get(key), str):
            yield record[key]
    if "tokens" in record:
        yield " ".join(record["tokens"])


def normal(text: str) -> tuple[str, ...]:
    """The words of a text, ignoring case, spacing, punctuation and the placeholders of masked names.

    So a sentence is the same however a corpus tokenises it and whatever placeholders ``@…$`` mask its names, as long
    as the same names are masked.
    """
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", _PLACEHOLDER.sub(" ", text)).casefold()))


def comparable(record: Record) -> Iterator[tuple[str, ...]]:
    """The normal forms of those texts of a record that are long enough to compare."""
    return (words for words in map(normal, texts_of(record)) if len(words) >= FEWEST_WORDS)


def document_key(task: str, record: Record) -> str | None:
    """A name for a record's document across all tasks, ``None`` if the row is its own document.

    A bare number of fewer than five digits is not a PMID and identifies a document only within the task.
    """
    document = str(record.get("doc_id"))
    if document == record.get("id"):
        return None
    return f"{task}\t{document}" if _ROW_NUMBER.fullmatch(document) else document


def shared_rows(suite: Mapping[str, Splits], trained: Collection[Split]) -> list[Shared]:
    """Every training row whose document or text is scored in one of the tasks.

    Texts match if their words are the same; ``biomtl audit`` also finds near-duplicates. Each row is listed once.

    Args:
        suite: task -> split -> records.
        trained: the splits that are trained on; all others are scored.
    """
    documents: dict[str | None, Place] = {}
    texts: dict[tuple[str, ...], Place] = {}
    for task, splits in suite.items():
        for split, records in splits.items():
            if split not in trained:
                for record in records:
                    documents.setdefault(document_key(task, record), (task, split))
                    texts.update((words, (task, split)) for words in comparable(record) if words not in texts)
    documents.pop(None, None)
    shared = []
    for task, splits in suite.items():
        for split in trained:
            for row, record in enumerate(splits.get(split, ())):
                place = documents.get(document_key(task, record))
                why = "document" if place else "text"
                place = place or next((texts[words] for words in comparable(record) if words in texts), None)
                if place:
                    shared.append(Shared(task, split, row, str(record.get("id")), why, place))
    return shared
