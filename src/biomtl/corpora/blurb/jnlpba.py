"""JNLPBA (Kim et al. 2004) from its original files with marks of abstracts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from biomtl.corpora.blurb.layout import formats
from biomtl.corpora.blurb.tokens import read_tokens
from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks import get_task
from biomtl.tasks.task import Split

_TASK = "jnlpba"
_FILES: dict[Split, str] = {"train": "Genia4ERtask2.iob2", "test": "Genia4EReval2.iob2"}
_WITHOUT_MARKS = ("Genia4ERtask1.iob2", "Genia4EReval1.iob2")
DEV_ABSTRACTS = 200  # the last of the 2000 in the training file


class JNLPBA:
    """One record per sentence; id ``MEDLINE.OFFSET``, offsets in the abstract's tokens joined by blanks.

    The five types of entities are one, as in BLURB.
    """

    name = "JNLPBA, original IOB2 files of task 2"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if any of its files is present."""
        return (_TASK,) if source.find(*_FILES.values(), *_WITHOUT_MARKS) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the sentences in the files' order."""
        for part, file in _FILES.items():
            if not source.find(file) and (other := source.find(*_WITHOUT_MARKS)):
                problem = "a file without marks of abstracts"
                raise InputError(problem, path=source.where(other[0]), expected=f"{file}, which has them")
            name = one_copy(source, source.find(file), file)
            marks = sum(text.startswith("###") for _, text in source.lines(name))
            abstracts, document = 0, ""
            for record in read_tokens(source, name, get_task(_TASK), part, formats()[_TASK]):
                abstracts += record["doc_id"] != document
                document = record["doc_id"]
                in_dev = part == "train" and abstracts > marks - DEV_ABSTRACTS
                yield _TASK, "dev" if in_dev else part, record
