"""ChemProt (BioCreative VI track 5, Krallinger et al. 2017) from its original tables, with BLUE's rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, product
from pathlib import Path

from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.relations import arguments_of, units
from biomtl.corpora.source import Source
from biomtl.errors import InputError, nearest
from biomtl.formats.model import offset
from biomtl.storage.files import read_lines
from biomtl.tasks.task import Split
from biomtl.text.sentences import sentences

_PARTS: dict[Split, str] = {"train": "training", "dev": "development", "test": "test"}
_TYPES = ("CHEMICAL", "GENE-N", "GENE-Y")
_LABELS = ("CPR:3", "CPR:4", "CPR:5", "CPR:6", "CPR:9")

Spans = list[tuple[int, int]]


class ChemProt:
    """One record per (chemical, gene) pair of a sentence and gold label; id ``PMID.CHEMICAL.GENE``.

    If a pair has two gold labels, the second id ends in ``#2``: BLUE gives both rows the same id.
    """

    name = "ChemProt, original tables"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if any of the three tables of abstracts is present."""
        return ("chemprot",) if has_tables(source) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the pairs: documents in file order, sentences in text order, chemicals before genes."""
        given = _given_sentences(options.sentence_spans) if options.sentence_spans else {}
        for split in _PARTS:
            tables = Tables(source, split)
            listed = any(pmid in tables.ids for pmid in given)
            for document in tables:
                spans = (
                    given.pop(document.id, [])
                    if listed
                    else list(units(arguments_of("chemprot"), document.text, sentences(document.text)))
                )
                if spans and spans[-1][1] > len(document.text):
                    problem = f"a sentence of {document.id} beyond its {len(document.text)} characters"
                    raise InputError(problem, path=options.sentence_spans)
                for record in pair_records(document, spans):
                    yield "chemprot", split, record
        if given:
            problem = f"sentences of document {next(iter(given))!r}, which is in no split"
            raise InputError(problem, path=options.sentence_spans, expected="PubMed ids of ChemProt")


@dataclass(frozen=True, slots=True)
class _Entity:
    id: str
    type: str
    start: int
    end: int


@dataclass(slots=True)
class _Document:
    id: str
    text: str
    abstract: int  # its start in the text
    entities: dict[str, _Entity] = field(default_factory=dict)
    gold: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))


def pair_records(document: _Document, spans: Spans) -> Iterator[Record]:
    """A record of every pair of a chemical and a gene in one of the spans, and of every label that it has."""
    for start, end in spans:
        inside = [entity for entity in document.entities.values() if start <= entity.start and entity.end <= end]
        chemicals = [entity for entity in inside if entity.type == "CHEMICAL"]
        genes = [entity for gene_type in ("GENE-N", "GENE-Y") for entity in inside if entity.type == gene_type]
        for chemical, gene in product(chemicals, genes):
            arguments = [
                {
                    "id": entity.id,
                    "type": entity.type,
                    "start": entity.start - start,
                    "end": entity.end - start,
                    "text": document.text[entity.start : entity.end],
                }
                for entity in (chemical, gene)
            ]
            name = f"{document.id}.{chemical.id}.{gene.id}"
            labels = document.gold.get((chemical.id, gene.id), ["false"])
            for number, label in enumerate(reversed(labels), start=1):
                identifier = name if number == 1 else f"{name}#{number}"
                fields = {"id": identifier, "doc_id": document.id, "text": document.text[start:end], "label": label}
                yield fields | {"entities": arguments}


def has_tables(source: Source) -> bool:
    """Whether any of the three tables of abstracts is present."""
    return any(_tables(source, split, "abstracts") for split in _PARTS)


def _tables(source: Source, split: Split, content: str) -> list[str]:
    """Mirrors place the test set's ``gs`` differently: ``test_abstracts_gs``, ``test_gs_abstracts``."""
    return source.find(f"chemprot_{_PARTS[split]}_{content}*.tsv", f"chemprot_{_PARTS[split]}_gs_{content}*.tsv")


def _rows(source: Source, split: Split, content: str, columns: int) -> Iterator[tuple[str, int, list[str]]]:
    """(File, line, columns) of one of a split's tables."""
    name = one_copy(source, _tables(source, split, content), f"chemprot_{_PARTS[split]}_{content}*.tsv")
    where = source.where(name)
    for line, text in source.lines(name):
        row = text.split("\t")
        if len(row) != columns:
            if not text.strip():
                continue
            raise InputError(f"{len(row)} tab-separated columns", path=where, line=line, expected=str(columns))
        yield where, line, row


class Tables:
    """A split's three tables. They list the documents in different orders, so entities and labels are kept, as text."""

    def __init__(self, source: Source, split: Split) -> None:
        self._source, self._split = source, split
        self.ids: set[str] = set()
        for where, line, (pmid, _, _) in _rows(source, split, "abstracts", 3):
            if pmid in self.ids:
                raise InputError(f"document {pmid!r} again", path=where, line=line, expected="each document once")
            self.ids.add(pmid)
        self._entities = self._by_document("entities", 6)
        self._gold = self._by_document("gold_standard", 4)

    def _by_document(self, content: str, columns: int) -> dict[str, list[str]]:
        """PMID -> its groups of rows, ``file NUL rows``; every row has its line number in place of the id."""
        groups: dict[str, list[str]] = {}
        table = _rows(self._source, self._split, content, columns)
        for pmid, group in groupby(table, key=lambda entry: entry[2][0]):
            rows = list(group)
            where, line, _ = rows[0]
            if pmid not in self.ids:
                expected = "one of the abstracts' PubMed ids"
                raise InputError(f"document {pmid[:40]!r}", path=where, line=line, expected=expected)
            text = "\n".join("\t".join((str(number), *cells[1:])) for _, number, cells in rows)
            groups.setdefault(pmid, []).append(f"{where}\0{text}")
        return groups

    def __iter__(self) -> Iterator[_Document]:
        for _, _, (pmid, title, abstract) in _rows(self._source, self._split, "abstracts", 3):
            document = _Document(pmid, f"{title} {abstract}", len(title) + 1)
            for row in _waiting(self._entities, pmid):
                _add_entity(document, *row)
            for row in _waiting(self._gold, pmid):
                _add_label(document, *row)
            yield document


def _waiting(rows: dict[str, list[str]], pmid: str) -> Iterator[tuple[str, int, list[str]]]:
    """(File, line, columns after the id) of a document's rows."""
    for value in rows.get(pmid, ()):
        where, _, table = value.partition("\0")
        for row in table.split("\n"):
            line, *columns = row.split("\t")
            yield where, int(line), columns


def _add_entity(document: _Document, path: str, line: int, columns: list[str]) -> None:
    name, entity_type, begin, stop, covered = columns
    start, end = offset(begin, path, line), offset(stop, path, line)
    if entity_type not in _TYPES:
        raise InputError(
            f"an entity of type {entity_type[:40]!r}", path=path, line=line, fix=nearest(entity_type, _TYPES)
        )
    if name in document.entities:
        raise InputError(f"entity {name[:40]!r} of document {document.id} again", path=path, line=line)
    if start >= end or document.text[start:end] != covered:
        here = document.text[start:end][:60]
        raise InputError(f"entity {covered[:60]!r}", path=path, line=line, expected=f"{here!r} as in the text")
    document.entities[name] = _Entity(name, entity_type, start, end)


def _add_label(document: _Document, path: str, line: int, columns: list[str]) -> None:
    label, first, second = columns
    if label not in _LABELS:
        raise InputError(f"label {label[:40]!r}", path=path, line=line, fix=nearest(label, _LABELS))
    pair = first.removeprefix("Arg1:"), second.removeprefix("Arg2:")
    types = [document.entities[name].type if name in document.entities else "nothing" for name in pair]
    if types[0] != "CHEMICAL" or types[1] not in _TYPES[1:]:
        problem = f"arguments {first[:40]!r} ({types[0]}) and {second[:40]!r} ({types[1]})"
        raise InputError(problem, path=path, line=line, expected="a chemical and a gene of the document")
    document.gold[pair].append(label)


def _given_sentences(path: Path) -> dict[str, Spans]:
    """Document -> its sentences, from a table with the header ``docid start end``."""
    given: dict[str, Spans] = defaultdict(list)
    for line, text in read_lines(path):
        row = text.split("\t")
        if line == 1 and row != ["docid", "start", "end"]:
            raise InputError(
                f"header {text[:60]!r}", path=path, line=line, expected="docid, start, end (tab-separated)"
            )
        if line == 1 or not text.strip():
            continue
        if len(row) != 3:
            raise InputError(f"{len(row)} tab-separated columns", path=path, line=line, expected="3")
        span = offset(row[1], path, line), offset(row[2], path, line)
        if span[0] >= span[1] or (given[row[0]] and span[0] < given[row[0]][-1][1]):
            expected = "a start before the end and after the previous sentence"
            raise InputError(f"sentence {row[1]}-{row[2]}", path=path, line=line, expected=expected)
        given[row[0]].append(span)
    return given
