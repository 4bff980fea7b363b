"""The interface of corpus readers, which turn a distribution's files into records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from biomtl.corpora.source import Source
from biomtl.tasks.task import Split

Record = dict[str, Any]  # one line of JSONL, with the keys of its task type


@dataclass(frozen=True)
class ReadOptions:
    """Options that change the records; the defaults give BLUE's."""

    keep_list_sentences: bool = False  # DDI: include the drug lists of DrugBank d64, which BLUE left out
    sentence_spans: Path | None = None  # ChemProt: a table docid, start, end instead of our sentence splitter
    seed: int = 0  # for random sampling, where BLUE's split is unknown
    mentions: str = "keep"  # keep | flatten | refuse: see formats/mentions.py; BLUE keeps


class Reader(Protocol):
    """A corpus reader: stateless and torch-free. Every error it raises is an ``InputError`` that names file and row."""

    name: str
    """The name shown to the user, e.g. ``BC5CDR, original PubTator files``."""
    preference: int
    """When several readers find a task, the lowest is taken: 0 for original distributions, 1 for files that somebody
    converted from them."""

    def detect(self, source: Source) -> Sequence[str]:
        """Names of the tasks whose data this reader recognises in ``source`` (none if the layout is different)."""
        ...

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream ``(task, split, record)``; the records of a task and split keep the corpus's order."""
        ...
