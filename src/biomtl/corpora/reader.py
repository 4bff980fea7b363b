"""What every corpus reader is: a way from a distribution's files to records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from biomtl.corpora.source import Source
from biomtl.tasks.task import Split

Record = dict[str, Any]  # one line of JSONL, in the shape that its task type fixes


@dataclass(frozen=True)
class ReadOptions:
    """Choices that change the records; the defaults give BLUE's."""

    keep_list_sentences: bool = False  # DDI: also the drug lists of DrugBank d64 that BLUE left out
    sentence_spans: Path | None = None  # ChemProt: docid, start, end table instead of our sentence splitter
    seed: int = 0  # where a reader has to draw at random (no BLUE split is known for it)
    mentions: str = "keep"  # keep | flatten | refuse: see formats/mentions.py; keep is what BLUE does


class Reader(Protocol):
    """A corpus reader. Stateless; torch-free; every error it raises is an ``InputError`` naming file and row."""

    name: str
    """Shown to the user, e.g. ``BC5CDR, original PubTator files``."""

    def detect(self, source: Source) -> Sequence[str]:
        """Names of the tasks whose data this reader recognises in ``source`` (none if it isn't its layout)."""
        ...

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream ``(task, split, record)``; records of one task and split come in the corpus's order."""
        ...
