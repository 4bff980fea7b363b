"""Hallmarks of Cancer (Baker et al. 2016) from its original text and label files, with BLUE's document split."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.records import Located
from biomtl.corpora.source import Source
from biomtl.corpora.splits import ids
from biomtl.errors import InputError, nearest
from biomtl.tasks.task import SPLITS, Split

_MEMBER = re.compile(r"(?P<root>(?:.*/)?)(?P<folder>text|labels)/(?P<pmid>[0-9]{1,12})\.txt")

LABELS = (
    "activating invasion and metastasis",
    "avoiding immune destruction",
    "cellular energetics",
    "enabling replicative immortality",
    "evading growth suppressors",
    "genomic instability and mutation",
    "inducing angiogenesis",
    "resisting cell death",
    "sustaining proliferative signaling",
    "tumor promoting inflammation",
)


class HoC:
    """One record per sentence (line of the text file); id ``PMID_s<line, from 0>``, 0 to 5 labels in BLUE's order."""

    name = "Hallmarks of Cancer, original text and label files"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if there are ``text/PMID.txt`` and ``labels/PMID.txt`` side by side."""
        return ("hoc",) if has_corpus(source) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the sentences of BLUE's documents in the order of its lists."""
        root = corpus_root(source)
        for split in SPLITS:
            for where, pmid in _documents(source, split):
                for record in sentence_records(source, root, pmid, where):
                    yield "hoc", split, record


def has_corpus(source: Source) -> bool:
    """Whether there are ``text/PMID.txt`` and ``labels/PMID.txt`` side by side."""
    return bool(_roots(source))


def corpus_root(source: Source) -> str:
    """The folder that holds ``text`` and ``labels``.

    Raises:
        InputError: none, or several.
    """
    return one_copy(source, _roots(source), "the HoC corpus")


def pmids(source: Source, root: str) -> list[str]:
    """The abstracts of the corpus, sorted."""
    matches = (_MEMBER.fullmatch(name) for name in source.names)
    return sorted(match["pmid"] for match in matches if match and (match["root"], match["folder"]) == (root, "text"))


def _roots(source: Source) -> list[str]:
    folders = defaultdict(set)
    for name in source.names:
        if match := _MEMBER.fullmatch(name):
            folders[match["root"]].add(match["folder"])
    return [root for root, subfolders in folders.items() if len(subfolders) == 2]


def _documents(source: Source, split: Split) -> Iterator[tuple[str, str]]:
    """(Where it is listed, PMID) of a split: from a list beside the corpus, otherwise from BLUE's."""
    names = source.find(f"{split}_docid.txt")
    if not names:
        yield from (("BLUE's document list", pmid) for pmid in ids(f"hoc_{split}"))
        return
    name = one_copy(source, names, f"{split}_docid.txt")
    for number, line in source.lines(name):
        if line.strip():
            yield f"{source.where(name)}:{number}", line.strip()


def sentence_records(source: Source, root: str, pmid: str, listed: str) -> Iterator[Record]:
    """A record of every sentence of an abstract; ``listed`` is where its PMID stands, for errors."""
    names = {folder: f"{root}{folder}/{pmid}.txt" for folder in ("text", "labels")}
    for name in names.values():
        if name not in source:
            raise InputError("no such file", path=source.where(name), expected=f"document {pmid!r} of {listed}")
    texts = [text.strip() for _, text in source.lines(names["text"])]
    labels = list(_labels(source, names["labels"]))
    if len(texts) != len(labels):
        problem = f"labels for {len(labels)} sentences"
        expected = f"{len(texts)} as in text/{pmid}.txt"
        raise InputError(problem, path=source.where(names["labels"]), line=1, expected=expected)
    for index, (text, marked) in enumerate(zip(texts, labels, strict=True)):
        here = (source.where(names["text"]), index + 1)
        yield Located(here, id=f"{pmid}_s{index}", doc_id=pmid, text=text, labels=marked)


def _labels(source: Source, name: str) -> Iterator[list[str]]:
    """The label names of each sentence. Every ``<`` starts a sentence's field: ``…< A--x AND B--y < < C--z``."""
    content = " ".join(line for _, line in source.lines(name))
    for field in content.split("<")[1:]:
        given = {label.partition("--")[0].strip().lower() for label in field.split("AND")} - {"", "null"}
        for label in given:
            if label not in LABELS:
                raise InputError(f"label {label[:60]!r}", path=source.where(name), line=1, fix=nearest(label, LABELS))
        yield [label for label in LABELS if label in given]
