"""ShARe/CLEF eHealth 2013 task 1 (Suominen et al. 2013): disorders in clinical notes, from the distributed archives.

Gold comes as lines ``file||type||CUI||start||end[||start||end …]`` (several spans = a disjoint mention) or as
Knowtator XML (the training part). Offsets count characters of the original note. Before tokenisation, de-identified
``[**…**]`` becomes ``PATTERN`` of the same width, and ``||||``, ``___`` and ``~~`` become spaces, as in BLUE.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.sample import sample
from biomtl.corpora.shareclefe_gold import Gold, read_gold
from biomtl.corpora.source import Source
from biomtl.errors import InputError, nearest
from biomtl.formats.brat import decode
from biomtl.formats.mentions import CountedRecord, apply_policy, iob_tags
from biomtl.formats.model import Document, check_mention, covered
from biomtl.tasks.task import Split
from biomtl.text.sentences import sentences
from biomtl.text.words import words

_HIDDEN = re.compile(r"\[\*\*.*?\*\*\]", re.DOTALL)
_RULES = re.compile(r"\|{4}|___|~~")
_PARAGRAPH = re.compile(r"\n[ \t\r]*\n")
_DEV_LISTS = ("dev_docids.txt", "dev-docids.txt", "dev_docid.txt")
_DEV_SHARE = 1075 / (1075 + 4628)  # of documents: dev's share of BLUE's mentions; its list was not published


class ShareClefe:
    """One record per sentence; id ``DOC.OFFSET`` (of its first word), DOC is the note's file name without suffix."""

    name = "ShARe/CLEF eHealth 2013 task 1, original archives"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if there are notes in a folder or archive named like ``Task1TrainSetCorpus199``."""
        return ("shareclefe",) if _notes(source, "train") or _notes(source, "test") else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the sentences by note. Dev notes are those of a list (``dev_docids.txt``, one id per line) if the
        source has one, otherwise 19% of the training notes, sampled by ``options.seed``."""
        for source_split in ("train", "test"):
            notes = _notes(source, source_split)
            gold = read_gold(source, _gold_files(source, source_split), notes)
            if not notes or not gold:
                expected = (
                    "folders or archives like Task1TrainSetCorpus199, Task1TrainSetGOLD199, Task1TestSetCorpus100"
                )
                missing = "gold annotations" if notes else "notes"
                raise InputError(f"no {missing} for the {source_split} part", path=source.path, expected=expected)
            dev = _dev(source, notes, options.seed) if source_split == "train" else frozenset()
            for note, name in notes.items():
                split: Split = "test" if source_split == "test" else "dev" if note in dev else "train"
                for record in _records(source, note, name, gold.get(note, []), options):
                    yield "shareclefe", split, record


def _component(name: str, *needed: str) -> bool:
    """Whether a folder or archive in the file's path has all of the words in its name."""
    return any(all(word in folder for word in needed) for folder in PurePosixPath(name.lower()).parts[:-1])


def _notes(source: Source, source_split: str) -> dict[str, str]:
    """Note (file name without suffix) -> file."""
    names = [name for name in source.find("*.txt") if _component(name, "task1", source_split, "corpus")]
    copies: dict[str, list[str]] = {}
    for name in names:
        if PurePosixPath(name).name.lower() not in (*_DEV_LISTS, "readme.txt"):
            copies.setdefault(PurePosixPath(name).stem, []).append(name)
    return {note: one_copy(source, files, f"the note {note}") for note, files in sorted(copies.items())}


def _gold_files(source: Source, source_split: str) -> list[str]:
    """The test part's gold is called ``Task1Gold_SN2012``, without the word test."""
    files = source.find("*.txt", "*.pipe", "*.xml")
    in_train = [name for name in files if _component(name, "task1", "train", "gold")]
    if source_split == "train":
        return in_train
    return [name for name in files if _component(name, "task1", "gold") and name not in set(in_train)]


def _dev(source: Source, notes: dict[str, str], seed: int) -> frozenset[str]:
    if not (names := source.find(*_DEV_LISTS)):
        return sample(notes, _DEV_SHARE, seed)
    name = one_copy(source, names, "list of dev notes")
    wanted = [(line, text.strip().removesuffix(".txt")) for line, text in source.lines(name) if text.strip()]
    for line, note in wanted:
        if note not in notes:
            raise InputError(
                f"unknown note {note[:60]!r}", path=source.where(name), line=line, fix=nearest(note, notes)[:200]
            )
    return frozenset(note for _, note in wanted)


def _records(source: Source, note: str, name: str, gold: list[Gold], options: ReadOptions) -> Iterator[CountedRecord]:
    text = decode(source.read_bytes(name), source.where(name))
    for number, entry in enumerate(gold):
        check_mention(entry.mention, text, entry.where, entry.line, exact=False)
        mention = replace(entry.mention, id=f"T{number}", text=covered(text, entry.mention.spans))
        gold[number] = replace(entry, mention=mention)
    document = Document(note, text, (), tuple(entry.mention for entry in gold))
    document, cases = apply_policy(document, options.mentions, gold[0].where if gold else name)
    shown = clean(text)
    cut = list(_sentences(shown))
    tags = iter(iob_tags([offset for sentence in cut for offset in sentence], document.mentions, source.where(name)))
    for offsets in cut:
        yield CountedRecord(
            cases,
            id=f"{note}.{offsets[0][0]}",
            doc_id=note,
            tokens=[shown[start:end] for start, end in offsets],
            offsets=[list(offset) for offset in offsets],
            tags=[next(tags) for _ in offsets],
        )
        cases = Counter()


def clean(text: str) -> str:
    """The note as it is tokenised: same length, with de-identified names and ruled lines replaced."""
    text = _HIDDEN.sub(lambda match: "PATTERN".rjust(len(match[0]))[-len(match[0]) :], text)
    return _RULES.sub(lambda match: " " * len(match[0]), text)


def _sentences(text: str) -> Iterator[list[tuple[int, int]]]:
    """The words of every sentence. Notes have headings and lists, so no sentence crosses a blank line."""
    start = 0
    for end in (*(match.end() for match in _PARAGRAPH.finditer(text)), len(text)):
        for sentence in sentences(text, start, end):
            if offsets := list(words(text, *sentence)):
                yield offsets
        start = end
