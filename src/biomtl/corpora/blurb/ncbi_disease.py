"""NCBI disease corpus (Dogan et al. 2014) from its three original PubTator files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from biomtl.corpora.bc5cdr import tagged_sentences
from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.source import Source
from biomtl.errors import InputError, nearest
from biomtl.formats import Document, pubtator
from biomtl.tasks.task import Split

_TASK, _TYPE = "ncbi-disease", "Disease"
_FILES: dict[Split, str] = {
    "train": "NCBItrainset_corpus.txt",
    "dev": "NCBIdevelopset_corpus.txt",
    "test": "NCBItestset_corpus.txt",
}
_TYPES = ("SpecificDisease", "DiseaseClass", "CompositeMention", "Modifier")


class NCBIDisease:
    """One record per sentence; id ``PMID.OFFSET`` (of its first word), offsets in title + space + abstract.

    The four types of mentions are one. A document that a file has twice (8528200) is read once.
    """

    name = "NCBI disease corpus, original PubTator files"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if any of the three files is present."""
        return (_TASK,) if source.find(*_FILES.values()) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the sentences of all documents."""
        for split, file in _FILES.items():
            name = one_copy(source, source.find(file), file)
            where = source.where(name)
            seen: set[str] = set()
            for document in pubtator.parse(_stripped(source.lines(name)), where):
                if document.id in seen:
                    continue
                seen.add(document.id)
                for task, record in tagged_sentences(_of_one_type(document, where), {_TASK: _TYPE}, options, where):
                    yield task, split, record


def _stripped(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The lines, without blanks after a mention's text, which one of them has and its offsets don't count."""
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) > 3:
            cells[3] = cells[3].rstrip(" ")
        yield number, "\t".join(cells)


def _of_one_type(document: Document, where: str) -> Document:
    for mention in document.mentions:
        if mention.type not in _TYPES:
            problem = f"document {document.id}: mention {mention.text[:60]!r} of type {mention.type!r:.40}"
            raise InputError(problem, path=where, fix=nearest(mention.type[:40], _TYPES))
    return replace(document, mentions=tuple(replace(mention, type=_TYPE) for mention in document.mentions))
