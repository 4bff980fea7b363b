"""Relation files (DDI, ChemProt, i2b2): ``index, sentence, label``, both mentions masked in the sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator

from biomtl.corpora.blue.table import read_table
from biomtl.corpora.records import Located
from biomtl.corpora.source import Source
from biomtl.tasks.task import Split, Task

COLUMNS = ("index", "label", "sentence")

# How a row's index names its document.
DOCUMENT = {
    "chemprot": re.compile(r"(.+?)\.T\w+\.T\w+"),  # PMID.T1.T2
    "ddi2013": re.compile(r"(.+)\.s\d+\.p\d+"),  # DDI-DrugBank.d0.s1.p0
    "i2b2-2010": re.compile(r"(.+)\.\1\.con\.l\d+\.\1\.con\.l\d+"),  # <doc>.<doc>.con.l0.<doc>.con.l1
}
# Tasks where a pair may have several labels: BLUE has one row per label, all with the same index.
SEVERAL_LABELS = frozenset({"chemprot", "i2b2-2010"})
# Tasks whose gold standard lists the pairs of a whole document, while the model's input has only pairs in a sentence.
DOCUMENT_PAIRS = frozenset({"chemprot"})
PLACEHOLDER = re.compile(r"@([A-Za-z_]+)(?:-([A-Za-z_]+))?\$")


def read_relations(source: Source, name: str, task: Task, split: Split) -> Iterator[Located]:
    """The rows of one file; the second label of a pair gets the id ``<index>#2``."""
    where = source.where(name)
    last: tuple[str, str] | None = None
    labels: list[str] = []
    for number, (index, label, sentence) in read_table(source, name).take(COLUMNS, task.labels.__contains__):
        index, label = index.strip(), label.strip()
        several = task.name in SEVERAL_LABELS and last == (index, sentence) and label not in labels
        labels = [*labels, label] if several else [label]
        last = (index, sentence)
        yield Located(
            (where, number),
            id=f"{index}#{len(labels)}" if several else index,
            doc_id=document_of(task.name, index),
            text=sentence,
            label=label,
            **masked_entities(sentence),
        )


def document_of(task: str, index: str) -> str:
    """The document named by a row's index; the index itself if it has another form."""
    match = DOCUMENT[task].fullmatch(index) if task in DOCUMENT else None
    return match.group(1) if match else index


def masked_entities(sentence: str) -> dict[str, list[dict[str, object]]]:
    """The two masked mentions, found by their placeholders (``@DRUG$``, or one ``@DRUG-DRUG$`` over both).

    The ids count them in text order: a masked sentence doesn't show which of the index's mentions comes first.
    The result is empty unless there are two placeholders, or one for both.
    """
    placeholders = list(PLACEHOLDER.finditer(sentence))
    if len(placeholders) == 1 and placeholders[0].group(2):
        spans = [(placeholders[0], placeholders[0].group(1)), (placeholders[0], placeholders[0].group(2))]
    elif len(placeholders) == 2 and not any(match.group(2) for match in placeholders):
        spans = [(match, match.group(1)) for match in placeholders]
    else:
        return {}
    return {
        "entities": [
            {"id": f"e{i}", "type": mention_type, "start": match.start(), "end": match.end(), "text": match.group()}
            for i, (match, mention_type) in enumerate(spans, start=1)
        ]
    }
