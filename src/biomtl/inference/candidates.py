"""The pairs of mentions of a document that relation tasks classify."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from biomtl.custom.relations import DocumentPairs
from biomtl.formats.model import Document
from biomtl.inference.predictor import RelationText
from biomtl.tasks.task import Task


def candidates(document: Document, tasks: Iterable[Task], where: str | Path) -> Iterator[tuple[str, RelationText]]:
    """Every pair that any of the tasks asks about: its id, and its text with the two mentions and with these tasks.

    The id has the document's and those of both mentions. A pair comes once for each text that holds it, as tasks may
    have different units.

    Args:
        document: a document with mentions.
        tasks: the tasks; those without arguments ask about no pair.
        where: its file, for errors.
    """
    found: dict[tuple[str, str], RelationText] = {}
    for task in tasks:
        if task.relation is None:
            continue
        for record in DocumentPairs(document, task.relation, where).records({}, document.id, ""):
            text = RelationText.with_entities(record["text"], record["entities"])
            asked = found.setdefault((record["id"], record["text"]), text)
            asked.tasks = (*(asked.tasks or ()), task.name)
    for (name, _), text in found.items():
        yield name, text
