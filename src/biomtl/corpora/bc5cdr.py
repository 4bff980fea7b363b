"""BC5CDR (BioCreative V, Li et al. 2016) from its three original PubTator files.

Chemicals and diseases occur in the same sentences: the records of the two tasks differ only in their tags, so that each
text has to be encoded only once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from biomtl.corpora.copies import one_copy
from biomtl.corpora.parts import document_sentences
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.formats import Document, pubtator
from biomtl.formats.mentions import CountedRecord, apply_policy, iob_tags
from biomtl.tasks.task import Split
from biomtl.text.words import words

_FILES: dict[Split, str] = {
    "train": "CDR_TrainingSet.PubTator.txt",
    "dev": "CDR_DevelopmentSet.PubTator.txt",
    "test": "CDR_TestSet.PubTator.txt",
}
_TYPES = {
    "bc5cdr-chem": "Chemical",
    "bc5cdr-disease": "Disease",
    "bc5-chem": "Chemical",
    "bc5-disease": "Disease",
}


class BC5CDR:
    """One record per sentence; id ``PMID.OFFSET`` (of its first word), offsets in title + space + abstract."""

    name = "BC5CDR, original PubTator files"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """Both tasks of BLUE and of BLURB, if any of the three files is present."""
        return tuple(_TYPES) if source.find(*_FILES.values()) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the sentences of all documents, each once per task."""
        for split, file in _FILES.items():
            name = one_copy(source, source.find(file), file)
            where = source.where(name)
            for document in pubtator.parse(source.lines(name), where):
                for task, record in _records(document, tasks, options, where):
                    yield task, split, record


def _records(
    document: Document, tasks: Sequence[str], options: ReadOptions, where: str
) -> Iterator[tuple[str, Record]]:
    for mention in document.mentions:
        if mention.type not in _TYPES.values():
            problem = f"document {document.id}: mention {mention.text[:60]!r} of type {mention.type!r}"
            raise InputError(problem, path=where, expected=" or ".join(_TYPES.values()))
    yield from tagged_sentences(document, {task: _TYPES[task] for task in tasks}, options, where)


def tagged_sentences(
    document: Document, types: Mapping[str, str], options: ReadOptions, where: str
) -> Iterator[tuple[str, Record]]:
    """(Task, record) of every sentence, once for each task.

    Args:
        document: the document.
        types: task -> the type of its mentions.
        options: the policy for special mentions.
        where: the file's name for errors.
    """
    cut = [list(words(document.text, *span)) for span in document_sentences(document)]
    tags_by_task = {task: _tags(document, cut, mention_type, options, where) for task, mention_type in types.items()}
    for number, offsets in enumerate(cut):
        shared = {
            "id": f"{document.id}.{offsets[0][0]}",
            "doc_id": document.id,
            "tokens": [document.text[start:end] for start, end in offsets],
            "offsets": [list(offset) for offset in offsets],
        }
        for task, (tags_of, cases) in tags_by_task.items():
            yield task, CountedRecord(Counter() if number else cases, **shared, tags=tags_of[number])


def _tags(
    document: Document, cut: list[list[tuple[int, int]]], mention_type: str, options: ReadOptions, where: str
) -> tuple[list[list[str]], Counter[str]]:
    """The tags of every sentence, and counts of special mentions; a mention that runs into the next sentence continues
    there with ``I``."""
    chosen = replace(document, mentions=tuple(m for m in document.mentions if m.type == mention_type), relations=())
    chosen, cases = apply_policy(chosen, options.mentions, where)
    tags = iter(iob_tags([offset for sentence in cut for offset in sentence], chosen.mentions, where))
    return [[next(tags) for _ in sentence] for sentence in cut], cases
