"""The pairs of mentions of a document that relation tasks classify."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from biomtl.custom.relations import DocumentPairs
from biomtl.formats.model import Document
from biomtl.inference.predictor import RelationText
from biomtl.tasks.task import Task


def candidates(document: Document, tasks: Iterable[Task], where: str | Path) -> Iterator[tuple[str, RelationText]]:
    """Every pair, once, that any of the tasks asks about: its id, and its text with the two mentions.

    The id has the document's and those of both mentions.

    Args:
        document: a document with mentions.
        tasks: the tasks; those without arguments ask about no pair.
        where: its file, for errors.
    """
    seen: set[tuple[str, str]] = set()
    for task in tasks:
        if task.relation is None:
            continue
        for record in DocumentPairs(document, task.relation, where).records({}, document.id, ""):
            key = (record["id"], record["text"])  # the unit of another task may be another text
            if key not in seen:
                seen.add(key)
                yield record["id"], RelationText.with_entities(record["text"], record["entities"])
