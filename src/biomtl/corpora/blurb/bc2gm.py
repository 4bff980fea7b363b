"""BC2GM (BioCreative II gene mentions, Smith et al. 2008) from its original files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from biomtl.corpora.bc5cdr import tagged_sentences
from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.source import Source
from biomtl.corpora.splits import ids
from biomtl.errors import InputError
from biomtl.formats.model import Document, Mention, Passage
from biomtl.tasks.task import Split

_TASK, _TYPE = "bc2gm", "Gene"
_TEXTS, _GENES = ("train.in", "test.in"), "GENE.eval"
_PLACE = re.compile(r"([0-9]{1,6}) ([0-9]{1,6})")

Place = tuple[int, int, int]  # line, first and last character
Genes = dict[str, list[Place]]  # by sentence id


class BC2GM:
    """One record per sentence of ``train.in`` and ``test.in``, which the corpus takes as its documents.

    Mentions are those of ``GENE.eval`` in the same folder, without their alternatives. Its offsets don't count blanks,
    and the last is that of a mention's last character; the text behind them is optional and isn't compared.
    """

    name = "BC2GM, original sentences and GENE.eval"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if ``train.in`` or ``test.in`` stands beside ``GENE.eval``."""
        return (_TASK,) if any(_beside(source, name) in source for name in source.find(*_TEXTS)) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the sentences in the files' order."""
        dev = frozenset(ids("bc2gm_dev"))
        for file in _TEXTS:
            found = [name for name in source.find(file) if _beside(source, name) in source]
            name = one_copy(source, found, f"{file} beside {_GENES}")
            for document, where in _documents(source, name):
                split: Split = "test" if file == "test.in" else "dev" if document.id in dev else "train"
                for task, record in tagged_sentences(document, {_TASK: _TYPE}, options, where):
                    yield task, split, record


def _beside(source: Source, name: str) -> str:
    folder = str(PurePosixPath(name).parent)
    return _GENES if folder == "." else f"{folder}/{_GENES}"


def _documents(source: Source, name: str) -> Iterator[tuple[Document, str]]:
    genes, where = _genes(source, _beside(source, name)), source.where(_beside(source, name))
    for line, text in source.lines(name):
        if not text.strip():
            continue
        identifier, blank, sentence = text.partition(" ")
        if not blank or not sentence.strip():
            raise InputError(f"{text[:60]!r}", path=source.where(name), line=line, expected="an id, a space, a text")
        mentions = _mentions(sentence, genes.pop(identifier, []), where)
        yield Document(identifier, sentence, (Passage("sentence", 0, len(sentence)),), mentions), where
    for identifier, rows in genes.items():
        raise InputError(f"sentence {identifier[:40]!r}", path=where, line=rows[0][0], expected=f"one of {name}")


def _genes(source: Source, name: str) -> Genes:
    where = source.where(name)
    genes: Genes = defaultdict(list)
    for line, text in source.lines(name):
        if not text.strip():
            continue
        identifier, _, rest = text.partition("|")
        match = _PLACE.fullmatch(rest.partition("|")[0].strip())
        if match is None:
            raise InputError(f"{text[:60]!r}", path=where, line=line, expected="ID|FIRST LAST|TEXT")
        genes[identifier].append((line, int(match[1]), int(match[2])))
    return genes


def _mentions(sentence: str, rows: list[Place], where: str) -> tuple[Mention, ...]:
    positions = [at for at, character in enumerate(sentence) if not character.isspace()]
    mentions: list[Mention] = []
    for line, first, last in rows:
        if not first <= last < len(positions):
            problem = f"{first} {last} in a sentence of {len(positions)} characters without blanks"
            raise InputError(problem, path=where, line=line, expected="the first and last character of a mention")
        start, end = positions[first], positions[last] + 1
        mentions.append(Mention(f"T{len(mentions)}", _TYPE, ((start, end),), sentence[start:end]))
    return tuple(mentions)
