"""GAD (Bravo et al. 2015) from the files of BioBERT's first fold, from which BLURB made its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from biomtl.corpora.blue.relations import masked_entities
from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.records import Located
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks.task import Split

_TASK = "gad"
_LABELS = {"1": "association", "0": "false"}
TRAIN_ROWS = 4261  # of BioBERT's training rows; the others are BLURB's dev


class GAD:
    """One record per sentence with a gene and a disease masked; the id is the row's number in BLURB's file, from 0."""

    name = "GAD, BioBERT's first fold (GAD/1/train.tsv, test.tsv)"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if a folder ``GAD/1`` has one of the files."""
        return (_TASK,) if source.find("gad/1/train.tsv", "gad/1/test.tsv") else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the rows: of the training file without a header, of the test file below one."""
        train = one_copy(source, source.find("gad/1/train.tsv"), "GAD/1/train.tsv")
        for number, (line, cells) in enumerate(_rows(source, train, 2)):
            in_dev = number >= TRAIN_ROWS
            identifier = str(number - TRAIN_ROWS if in_dev else number)
            yield _TASK, "dev" if in_dev else "train", _record(source.where(train), line, identifier, *cells)
        test = one_copy(source, source.find("gad/1/test.tsv"), "GAD/1/test.tsv")
        for line, (identifier, sentence, label) in _rows(source, test, 3):
            if [identifier, sentence, label] != ["index", "sentence", "label"]:
                yield _TASK, "test", _record(source.where(test), line, identifier, sentence, label)


def _rows(source: Source, name: str, columns: int) -> Iterator[tuple[int, list[str]]]:
    for line, text in source.lines(name):
        if not text.strip():
            continue
        cells = text.split("\t")
        if len(cells) != columns:
            problem = f"{len(cells)} tab-separated columns"
            raise InputError(problem, path=source.where(name), line=line, expected=str(columns))
        yield line, cells


def _record(where: str, line: int, identifier: str, sentence: str, label: str) -> Located:
    if label.strip() not in _LABELS:
        raise InputError(f"label {label[:40]!r}", path=where, line=line, expected="1 (an association) or 0")
    text = sentence.strip()
    fields = {"id": identifier, "doc_id": identifier, "text": text, "label": _LABELS[label.strip()]}
    return Located((where, line), **fields, **masked_entities(text))
