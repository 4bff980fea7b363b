"""The reader of BLUE-format files: finds them and passes each to the module for its family."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from biomtl.corpora.blue.hoc import read_hoc
from biomtl.corpora.blue.layout import Layout, locate, read_splits
from biomtl.corpora.blue.ner import read_ner
from biomtl.corpora.blue.pairs import read_inference, read_similarity
from biomtl.corpora.blue.relations import read_relations
from biomtl.corpora.blurb.layout import fits, twins
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.records import Located
from biomtl.corpora.source import Source
from biomtl.tasks.task import Split, Task

Family = Callable[[Source, str, Task, Split], Iterator[Located]]

FAMILIES: dict[str, Family] = {
    "medsts": read_similarity,
    "biosses": read_similarity,
    "bc5cdr-chem": read_ner,
    "bc5cdr-disease": read_ner,
    "shareclefe": read_ner,
    "ddi2013": read_relations,
    "chemprot": read_relations,
    "i2b2-2010": read_relations,
    "hoc": read_hoc,
    "mednli": read_inference,
}


def _files(layouts: list[Layout]) -> Iterator[str]:
    """The files of the first layout, which `read` takes."""
    yield from layouts[0].files.values()


def _is_blurbs(source: Source, name: str, task: str) -> bool:
    """Whether a table is BLURB's; tokens in two columns are read for either benchmark."""
    known = twins().get(task)
    return known is not None and bool(known.columns) and fits(source, name, known)


class BlueFiles:
    """``<task>/{train,dev,test}.tsv``, by the folder and file names of BLUE's release, BlueBERT, MT-DNN or ELMo.

    Args:
        assume: the task of files whose folder doesn't name one.
    """

    name = "BLUE-format files (<task>/train.tsv, dev.tsv, test.tsv)"
    preference = 1

    def __init__(self, assume: str | None = None) -> None:
        self.assume = assume

    def detect(self, source: Source) -> Sequence[str]:
        """The tasks that folders are named after, unless the folder holds the same corpus in BLURB's format."""
        if self.assume is not None and self.assume not in FAMILIES:
            return []
        located = locate(source, self.assume)
        return [task for task in located if not any(_is_blurbs(source, name, task) for name in _files(located[task]))]

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the records by task; labels are checked with the record (see `tasks.types`)."""

        def rows(name: str, task: Task, split: Split) -> Iterator[Record]:
            return FAMILIES[task.name](source, name, task, split)

        return read_splits(source, locate(source, self.assume), tasks, rows)
