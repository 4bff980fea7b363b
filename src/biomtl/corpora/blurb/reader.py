"""The reader of BLURB's own files and of those made from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from biomtl.corpora.blue.layout import best
from biomtl.corpora.blurb.layout import formats, locate
from biomtl.corpora.blurb.tables import read_abstracts, read_pairs, read_relations, read_similarity
from biomtl.corpora.blurb.tokens import read_tokens
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks import get_task
from biomtl.tasks.task import SPLITS, Split, Task

FAMILIES = {
    "tokens": read_tokens,
    "relations": read_relations,
    "similarity": read_similarity,
    "abstracts": read_abstracts,
    "pairs": read_pairs,
}
"""What reads the files, by what a row is."""


class BlurbFiles:
    """``<corpus>/{train,dev,test}.tsv`` as BLURB's scripts write them, LinkBERT's ``.json``, or two columns of IOB."""

    name = "BLURB's files, LinkBERT's JSON lines, or two-column IOB (<corpus>/train, dev, test)"
    preference = 1

    def detect(self, source: Source) -> Sequence[str]:
        """The tasks that folders are named after and whose files begin as they should."""
        return list(locate(source))

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the records by task."""
        located = locate(source)
        for name in tasks:
            files = best(located[name], source).files
            for split in SPLITS:
                if split in files:
                    yield from self._read_file(source, files[split], get_task(name), split)

    def _read_file(self, source: Source, name: str, task: Task, split: Split) -> Iterator[tuple[str, Split, Record]]:
        record, known = None, formats()[task.name]
        for record in FAMILIES[known.rows](source, name, task, split, known):
            yield task.name, split, record
        if record is None:
            raise InputError("no rows", path=source.where(name), expected=f"the {split} split of {task.name}")
