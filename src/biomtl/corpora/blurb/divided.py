"""ChemProt, DDI 2013 and Hallmarks of Cancer as BLURB divides them, from their original distributions.

BC5CDR and BIOSSES have the same rows in BLUE and BLURB; their readers know both benchmarks' tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from biomtl.corpora import chemprot, ddi2013, hoc
from biomtl.corpora.blurb.lists import drawn, listed, members
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.source import Source
from biomtl.tasks import get_task
from biomtl.tasks.task import SPLITS, Split
from biomtl.text.sentences import sentences

_DDI_SIZES: dict[Split, int] = {"train": 624, "dev": 90}  # documents
_HOC_SIZES: dict[Split, int] = {"train": 1295, "dev": 186, "test": 371}


class BlurbChemProt:
    """One record per (chemical, gene) pair of a sentence; a pair of several labels has the last one."""

    name = "ChemProt, original tables"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if any of the three tables of abstracts is present."""
        return ("blurb-chemprot",) if chemprot.has_tables(source) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the pairs; title and abstract are cut into sentences, none of which is joined with another."""
        for split in SPLITS:
            for document in chemprot.Tables(source, split):
                text, start = document.text, document.abstract
                spans = [*sentences(text, 0, start - 1), *sentences(text, start, len(text))]
                for record in chemprot.pair_records(document, spans):
                    if "#" not in record["id"]:  # BLUE's order of a pair's rows begins with the last label
                        yield "blurb-chemprot", split, record


class BlurbDDI:
    """One record per pair of drugs of all sentences, with the split by document.

    Dev has the documents of BLURB's list (``indexing/DDI/dev_files.tsv``) if it is present, otherwise 90 of 714, drawn.
    """

    name = "DDI 2013, original XML"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if the corpus is present."""
        return ("blurb-ddi",) if ddi2013.DDI2013().detect(source) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the pairs by document, in lexicographic order of the documents' ids."""
        files = [(folder, name, PurePosixPath(name).stem) for folder, name in ddi2013.documents(source)]
        if lists := listed(source, "ddi", "files"):
            dev = {name for split, name in members(lists, [stem for *_, stem in files], source) if split == "dev"}
        else:
            dev = set(drawn([stem for folder, _, stem in files if folder == "train"], _DDI_SIZES, options.seed)["dev"])
        for folder, name, stem in files:
            for _, _, record in ddi2013.pairs(source, name):
                yield "blurb-ddi", "dev" if folder == "train" and stem in dev else folder, record


class BlurbHoC:
    """One record per abstract, with the labels of its sentences, which are joined by blanks; the id is the PMID.

    The splits are those of BLURB's lists (``indexing/HoC/{train,dev,test}_pmid.tsv``) if these are present, otherwise
    drawn.
    """

    name = "Hallmarks of Cancer, original text and label files"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if there are ``text/PMID.txt`` and ``labels/PMID.txt`` side by side."""
        return ("blurb-hoc",) if hoc.has_corpus(source) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the abstracts in the lists' order, or by PMID."""
        root, names = hoc.corpus_root(source), get_task("blurb-hoc").labels
        pmids = hoc.pmids(source, root)
        lists = listed(source, "hoc", "pmid")
        drawn_splits = {} if lists else drawn(pmids, _HOC_SIZES, options.seed)
        places = members(lists, pmids, source) if lists else ((s, p) for s in drawn_splits for p in drawn_splits[s])
        for split, pmid in places:
            rows = list(hoc.sentence_records(source, root, pmid, "the corpus"))
            marked = {label for row in rows for label in row["labels"]}
            text = " ".join(row["text"] for row in rows)
            labels = [label for label in names if label in marked]
            yield "blurb-hoc", split, {"id": pmid, "doc_id": pmid, "text": text, "labels": labels}
