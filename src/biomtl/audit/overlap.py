"""Texts and documents that stand both in what is trained on and in what is scored, in any of a suite's tasks."""

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

FEWEST_WORDS = 5  # "Conclusions" and "No effect was seen" stand in many abstracts and give nothing away
_PLACEHOLDER = re.compile(r"@[A-Za-z-]+\$")
_WORD = re.compile(r"\w+")
_ROW_NUMBER = re.compile(r"[0-9]{1,4}")


@dataclass(frozen=True, slots=True)
class Shared:
    """A training row with something that is also scored.

    Attributes:
        task: whose row it is.
        split: where it stands.
        row: its place among the split's records, from 0.
        id: its id.
        why: ``document`` or ``text``.
        other: the task and split that is scored on the same.
    """

    task: str
    split: Split
    row: int
    id: str
    why: str
    other: Place


def texts_of(record: Record) -> Iterator[str]:
    """The texts of a record: one, the two of a pair, or its tokens."""
    for key in ("text", "text_a", "text_b"):
        if isinstance(record.get(key), str):
            yield record[key]
    if "tokens" in record:
        yield " ".join(record["tokens"])


def normal(text: str) -> tuple[str, ...]:
    """The words of a text, whatever its case, spacing and punctuation; placeholders of masked names left out.

    So a sentence is the same however a corpus cuts it into tokens, and whichever of its names are masked with ``@…$``
    as long as all of them are.
    """
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", _PLACEHOLDER.sub(" ", text)).casefold()))


def comparable(record: Record) -> Iterator[tuple[str, ...]]:
    """The normal forms of a record's texts that are long enough to mean something."""
    return (words for words in map(normal, texts_of(record)) if len(words) >= FEWEST_WORDS)


def document_key(task: str, record: Record) -> str | None:
    """The name of a record's document among all tasks, ``None`` for a row that is a document of its own.

    A bare number of less than five digits is no PMID and stays the task's own.
    """
    document = str(record.get("doc_id"))
    if document == record.get("id"):
        return None
    return f"{task}\t{document}" if _ROW_NUMBER.fullmatch(document) else document


def shared_rows(suite: Mapping[str, Splits], trained: Collection[Split]) -> list[Shared]:
    """Every training row whose document, or one of whose texts, is scored in one of the tasks.

    Texts count if their words are the same; near-duplicates are ``biomtl audit``'s affair. A row is listed once.

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
    found = []
    for task, splits in suite.items():
        for split in trained:
            for row, record in enumerate(splits.get(split, ())):
                place = documents.get(document_key(task, record))
                why = "document" if place else "text"
                place = place or next((texts[words] for words in comparable(record) if words in texts), None)
                if place:
                    found.append(Shared(task, split, row, str(record.get("id")), why, place))
    return found
