"""i2b2/VA 2010 relations (Uzuner et al. 2011) from the challenge's ``.txt``, ``.con`` and ``.rel`` files.

A text has one sentence per line, its tokens separated by spaces; a line that starts with a space has an empty token 0.
Concepts and relations refer to it by line (from 1) and token (from 0, inclusive): ``12:3 12:5``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath

from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.records import Located
from biomtl.corpora.sample import sample
from biomtl.corpora.source import Source
from biomtl.errors import InputError, nearest
from biomtl.tasks.task import Split

_TYPES = ("problem", "treatment", "test")
_LABELS = ("PIP", "TeCP", "TeRP", "TrAP", "TrCP", "TrIP", "TrNAP", "TrWP")
_PLACE = r"([0-9]{1,7}):([0-9]{1,7}) ([0-9]{1,7}):([0-9]{1,7})"
_CONCEPT = re.compile(rf'c="(.*)" {_PLACE}\|\|t="([^"]*)"')
_RELATION = re.compile(rf'c=".*" {_PLACE}\|\|r="([^"]*)"\|\|c=".*" {_PLACE}')
_TOKEN = re.compile(r"\S+", re.ASCII)
_TEST = re.compile(r"(?<![a-z])test")  # not "latest"
_MAX_LINE = 20_000  # characters of a .con or .rel line: the patterns above may take quadratic time

_DEV_LISTS = ("dev_docids.txt", "dev-docids.txt", "dev_docid.txt")
# BLUE's dev set is one training document. Which one was never published, but these counts identify it.
_BLUE_DEV = Counter({"false": 86, "TeCP": 8, "TrAP": 2})
_DEV_SHARE = 0.1

Place = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Files:
    """Names of one document's files."""

    text: str
    concepts: str
    relations: str


@dataclass(frozen=True, slots=True)
class _Concept:
    id: str
    type: str
    place: Place
    span: tuple[int, int]  # characters of its line
    number: int  # row of the .con file


class I2b22010:
    """One record per pair of concepts on a line; id ``DOC.CONCEPT.CONCEPT`` (``DOC.con.l0``: first row of ``.con``)."""

    name = "i2b2/VA 2010, original .txt, .con and .rel files"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if there are concept and relation files."""
        return ("i2b2-2010",) if source.find("*.con") and source.find("*.rel") else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the pairs by document: the training parts by path and name, then the test part.

        Dev documents are those of a list (``dev_docids.txt``, one id per line) if the source has one, otherwise the
        one with BLUE's dev counts, otherwise a tenth of the training documents, sampled by ``options.seed``.
        """
        splits = {source_split: _documents(source, source_split) for source_split in ("train", "test")}
        dev = _dev(source, splits["train"], options.seed)
        for source_split, documents in splits.items():
            for name, files in documents.items():
                split: Split = "test" if source_split == "test" else "dev" if name in dev else "train"
                for record in _pairs(source, name, files):
                    yield "i2b2-2010", split, record


def _part(name: str) -> str:
    folders = PurePosixPath(name.lower()).parts[:-1]
    return "test" if any(_TEST.search(folder) for folder in folders) else "train"


def _documents(source: Source, source_split: str) -> dict[str, _Files]:
    """Document -> its files, ordered by the names of the ``.rel`` files."""
    files: dict[str, dict[str, list[str]]] = {suffix: defaultdict(list) for suffix in ("txt", "con", "rel")}
    for suffix, by_stem in files.items():
        for name in source.find(f"*.{suffix}"):
            if _part(name) == source_split:
                by_stem[PurePosixPath(name).stem].append(name)
    if lonely := sorted(files["con"].keys() - files["rel"].keys()):
        name = files["con"][lonely[0]][0]
        raise InputError(f"no {lonely[0]}.rel", path=source.where(name), expected="a .rel file for every .con file")
    documents = {}
    for stem, names in files["rel"].items():
        relations = one_copy(source, names, f"{stem}.rel ({source_split})")
        nearby = [_nearest_file(source, relations, files[suffix][stem], suffix) for suffix in ("txt", "con")]
        documents[stem] = _Files(nearby[0], nearby[1], relations)
    return documents


def _nearest_file(source: Source, relations: str, names: list[str], suffix: str) -> str:
    """The document's file that shares most of its path with the ``.rel`` file; test texts have their own folder."""
    shared = {name: _common(PurePosixPath(relations).parts, PurePosixPath(name).parts) for name in names}
    best = [name for name in names if shared[name] == max(shared.values())]
    return one_copy(source, best, f"{PurePosixPath(relations).stem}.{suffix} for {relations}")


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _dev(source: Source, documents: dict[str, _Files], seed: int) -> frozenset[str]:
    if names := source.find(*_DEV_LISTS):
        name = one_copy(source, names, "list of dev documents")
        wanted = [(line, text.strip().removesuffix(".txt")) for line, text in source.lines(name) if text.strip()]
        for line, document in wanted:
            if document not in documents:
                fix = nearest(document, documents) if documents else "is the training part there?"
                raise InputError(
                    f"unknown document {document[:60]!r}", path=source.where(name), line=line, fix=fix[:200]
                )
        return frozenset(document for _, document in wanted)
    counts = {name: Counter(pair["label"] for pair in _pairs(source, name, files)) for name, files in documents.items()}
    same = [name for name, count in counts.items() if count == _BLUE_DEV]
    return frozenset(same) if len(same) == 1 else sample(documents, _DEV_SHARE, seed)


def _pairs(source: Source, document: str, files: _Files) -> Iterator[Located]:
    """All pairs of concepts on one line, in the order of the ``.con`` file; one record for each of their labels."""
    lines = [text for _, text in source.lines(files.text)]
    concepts = list(_concepts(source, document, files, lines))
    labels = _labels(source, files, {concept.place for concept in concepts})
    by_line: dict[int, list[_Concept]] = defaultdict(list)
    for concept in concepts:
        if concept.place[0] == concept.place[2]:
            by_line[concept.place[0]].append(concept)
    for first in concepts:
        same_line = by_line[first.place[0]]
        for second in same_line[same_line.index(first) + 1 :] if first in same_line else ():
            index = f"{document}.{first.id}.{second.id}"
            fields = _pair(lines[first.place[0] - 1], first, second)
            where = (source.where(files.concepts), first.number)
            for count, label in enumerate(labels.get(frozenset((first.place, second.place)), ("false",)), 1):
                identifier = index if count == 1 else f"{index}#{count}"
                yield Located(where, id=identifier, doc_id=document, label=label, **fields)


def _pair(line: str, first: _Concept, second: _Concept) -> Record:
    entities = []
    for concept in (first, second):
        start, end = concept.span
        entity = {"id": concept.id, "type": concept.type, "start": start, "end": end, "text": line[start:end]}
        entities.append(entity)
    return {"text": line, "entities": entities}


def _concepts(source: Source, document: str, files: _Files, lines: list[str]) -> Iterator[_Concept]:
    where = source.where(files.concepts)
    for number, row in _rows(source, files.concepts):
        match = _CONCEPT.fullmatch(row)
        if not match:
            expected = 'c="text" line:token line:token||t="problem"'
            raise InputError(f"{row[:60]!r}", path=where, line=number, expected=expected)
        text, *place, concept_type = match.groups()
        if concept_type not in _TYPES:
            raise InputError(
                f"type {concept_type[:40]!r}", path=where, line=number, fix=nearest(concept_type[:40], _TYPES)
            )
        points = (int(place[0]), int(place[1]), int(place[2]), int(place[3]))
        span = _span(lines, points, text, where, number)
        yield _Concept(f"{document}.con.l{number - 1}", concept_type, points, span, number)


def _span(lines: list[str], place: Place, text: str, where: str, number: int) -> tuple[int, int]:
    """Characters of the first line that a concept covers.

    Raises:
        InputError: no such tokens, or tokens that differ from the concept's text (ignoring case).
    """
    line, first, last_line, last = place
    if not (0 < line <= last_line <= len(lines)):
        problem = f"lines {line} to {last_line} in a text of {len(lines)} lines"
        raise InputError(problem, path=where, line=number, expected="lines of the .txt file, counted from 1")
    tokens = {at: _tokens(lines[at - 1]) for at in (line, last_line)}
    if first >= len(tokens[line]) or last >= len(tokens[last_line]) or (line == last_line and first > last):
        problem = f"tokens {line}:{first} to {last_line}:{last}, but the lines have {len(tokens[line])} tokens"
        raise InputError(problem, path=where, line=number, expected="tokens of the line, counted from 0")
    start, stop = tokens[line][first][0], tokens[last_line][last][1]
    end = stop if line == last_line else len(lines[line - 1])
    covered = lines[line - 1][start:end]
    if line != last_line:  # never paired, since pairs are on one line, but checked all the same
        covered = " ".join((covered, *lines[line : last_line - 1], lines[last_line - 1][:stop]))
    if covered.lower().split() != text.lower().split():
        expected = f"{covered[:60]!r}, the tokens {line}:{first} to {last_line}:{last} of the text"
        raise InputError(f"concept {text[:60]!r}", path=where, line=number, expected=expected)
    if not covered.strip():
        raise InputError("a concept without text", path=where, line=number)
    return start, end


def _tokens(line: str) -> list[tuple[int, int]]:
    tokens = [match.span() for match in _TOKEN.finditer(line)]
    return [(0, 0), *tokens] if line[:1].isspace() else tokens


def _labels(source: Source, files: _Files, known: set[Place]) -> dict[frozenset[Place], tuple[str, ...]]:
    """Places of two concepts -> the labels between them in either direction, in file order, each once."""
    labels: dict[frozenset[Place], tuple[str, ...]] = {}
    where = source.where(files.relations)
    for number, row in _rows(source, files.relations):
        match = _RELATION.fullmatch(row)
        if not match:
            expected = 'c="text" line:token line:token||r="TrAP"||c="text" line:token line:token'
            raise InputError(f"{row[:60]!r}", path=where, line=number, expected=expected)
        numbers = [int(match[i]) for i in (1, 2, 3, 4, 6, 7, 8, 9)]
        label = match[5]
        if label not in _LABELS:
            raise InputError(f"relation {label[:40]!r}", path=where, line=number, fix=nearest(label[:40], _LABELS))
        places: list[Place] = [(numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]) for i in (0, 4)]
        for place in places:
            if place not in known:
                problem = "a relation of {}:{} to {}:{}".format(*place)
                raise InputError(problem, path=where, line=number, expected="a concept of the .con file")
        pair = frozenset(places)
        labels[pair] = tuple(dict.fromkeys((*labels.get(pair, ()), label)))
    return labels


def _rows(source: Source, name: str) -> Iterator[tuple[int, str]]:
    for number, row in source.lines(name):
        if len(row) > _MAX_LINE:
            raise InputError(f"a line of over {_MAX_LINE:,} characters", path=source.where(name), line=number)
        if row.strip():
            yield number, row.strip()
