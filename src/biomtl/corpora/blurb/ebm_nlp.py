"""EBM-NLP (Nye et al. 2018) from its original folders of tokens and annotations."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from biomtl.corpora.blue.ner import TokenRows
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.source import Source
from biomtl.corpora.splits import ids
from biomtl.errors import InputError
from biomtl.tasks.task import Split

_TASK = "ebm-pico"
_TAGS = {"participants": "I-PAR", "interventions": "I-INT", "outcomes": "I-OUT"}
_TOKENS = re.compile(r"(?:.*/)?documents/([0-9]{1,12})\.tokens")
_LABELS = re.compile(
    r"(?:.*/)?annotations/aggregated/starting_spans/(participants|interventions|outcomes)/(train|test/gold)/"
    r"([0-9]{1,12})[^/]*\.ann"
)
_BETWEEN = re.compile(r"[,\s]+")


class EBMNLP:
    """One record per sentence, which ends at a token ``.``, as in BLURB; id ``PMID.OFFSET``.

    Offsets are in the abstract's tokens, joined by blanks. A word of several elements has the last of participant,
    intervention, outcome.
    """

    name = "EBM-NLP, original tokens and aggregated starting spans"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if there are token files and aggregated annotations."""
        names = list(source.names)
        there = any(map(_TOKENS.fullmatch, names)) and any(map(_LABELS.fullmatch, names))
        return (_TASK,) if there else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the sentences by PMID."""
        dev = frozenset(ids("ebm_pico_dev"))
        tokens = {match[1]: name for name in source.names if (match := _TOKENS.fullmatch(name))}
        labels: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)  # PMID, part -> element -> file
        for name in source.names:
            if match := _LABELS.fullmatch(name):
                files = labels[match[3], match[2]]
                if match[1] in files:
                    raise InputError(f"{match[1]} of {match[3]} again", path=source.where(name), fix="keep one copy")
                files[match[1]] = name
        for (pmid, part), files in sorted(labels.items()):
            if pmid not in tokens:
                where = source.where(next(iter(files.values())))
                raise InputError(f"labels of {pmid}", path=where, expected=f"its tokens in documents/{pmid}.tokens")
            split: Split = "test" if part != "train" else "dev" if pmid in dev else "train"
            for record in _sentences(source, pmid, tokens[pmid], files):
                yield _TASK, split, record


def _sentences(source: Source, pmid: str, name: str, files: dict[str, str]) -> Iterator[Record]:
    words = [word for _, line in source.lines(name) for word in line.split()]
    tags = ["O"] * len(words)
    for element, tag in _TAGS.items():
        if element in files:
            marked = _marked(source, files[element], len(words))
            tags = [tag if mark else before for mark, before in zip(marked, tags, strict=True)]
    sentence, start = TokenRows(1), 0
    for word, tag in zip(words, tags, strict=True):
        sentence.add(word, start, tag)
        start += len(word) + 1
        if word == ".":
            yield sentence.record(source.where(name), pmid)
            sentence = TokenRows(1)
    if sentence.tokens:
        yield sentence.record(source.where(name), pmid)


def _marked(source: Source, name: str, words: int) -> list[bool]:
    """Whether each word belongs to the element; labels are 0 and 1, divided by blanks, commas or line ends."""
    labels = [label for _, line in source.lines(name) for label in _BETWEEN.split(line) if label]
    if len(labels) != words:
        raise InputError(f"{len(labels)} labels", path=source.where(name), expected=f"{words}, one for each token")
    if odd := next((label for label in labels if not label.isdecimal()), None):
        raise InputError(f"label {odd[:40]!r}", path=source.where(name), expected="0, or 1 for a word of the element")
    return [int(label[:9]) > 0 for label in labels]
