"""The reader of BLURB's own files and of those made from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from biomtl.corpora.blue.layout import read_splits
from biomtl.corpora.blurb.layout import formats, locate
from biomtl.corpora.blurb.tables import read_abstracts, read_pairs, read_relations, read_similarity
from biomtl.corpora.blurb.tokens import read_tokens
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.source import Source
from biomtl.tasks.task import Split, Task

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

        def rows(name: str, task: Task, split: Split) -> Iterator[Record]:
            known = formats()[task.name]
            return FAMILIES[known.rows](source, name, task, split, known)

        return read_splits(source, locate(source), tasks, rows)
