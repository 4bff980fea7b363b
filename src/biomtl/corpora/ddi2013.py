"""DDI Extraction 2013 (Herrero-Zazo et al. 2013) from its original XML, with BLUE's rows.

The rules are those of BLUE's released files, which differ from its converter's (``docs/corpora/ddi2013.md``).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.records import Located
from biomtl.corpora.source import Source
from biomtl.corpora.splits import ids
from biomtl.errors import InputError, nearest
from biomtl.formats.xml import Element, elements
from biomtl.tasks.task import Split

# "Train/DrugBank/x.xml"; the authors' own zip has "Test/Test for DDI Extraction task/DrugBank/x.xml".
_MEMBER = re.compile(
    r"(?P<root>(?:.*/)?)(?P<part>train|test)/(?:[^/]*/)?(?:drugbank|medline)/[^/]+\.xml", re.IGNORECASE
)
_DOCUMENT_ID = re.compile(rb"<document\b[^>]*?\sid\s*=\s*[\"']([^\"'<&]+)[\"']")
_HEAD = 4096  # bytes; the document's id is in the first hundred
_RANGE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_TYPES = ("advise", "effect", "int", "mechanism")

_LIST_SENTENCES = frozenset(f"DDI-DrugBank.d64.s{i}" for i in range(6, 88))


class DDI2013:
    """One record per pair of drugs; id = the XML's pair id."""

    name = "DDI 2013, original XML"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if there is an XML file in the corpus's folders."""
        return ("ddi2013",) if any(_members(source)) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the pairs by document; documents and sentences are in lexicographic order of their ids."""
        dev = _dev(source)
        left_out = frozenset() if options.keep_list_sentences else _LIST_SENTENCES
        for folder, name in documents(source):
            for sentence, pair, record in pairs(source, name):
                in_dev = folder == "train" and (sentence in dev or pair in dev)
                if in_dev or sentence not in left_out:
                    yield "ddi2013", "dev" if in_dev else folder, record


def documents(source: Source) -> Iterator[tuple[Literal["train", "test"], str]]:
    """(``train`` or ``test``, file) of every document of the corpus, in the order of the documents' ids.

    Raises:
        InputError: no corpus, several copies of it, or a part is missing.
    """
    root = one_copy(source, {root for root, _, _ in _members(source)}, "the DDI corpus")
    folders: tuple[Literal["train", "test"], ...] = ("train", "test")
    for folder in folders:
        index = _index(source, (name for *place, name in _members(source) if place == [root, folder]))
        if not index:
            raise InputError(f"no {folder} folder", path=source.path, expected="the folders Train and Test")
        yield from ((folder, name) for name in index.values())


def _members(source: Source) -> Iterator[tuple[str, str, str]]:
    """(Folder of the corpus, ``train`` or ``test``, XML file), without the files of the DrugNER task."""
    for name in source.names:
        if (match := _MEMBER.fullmatch(name)) and "drugner" not in name.lower():
            yield match["root"], match["part"].lower(), name


def _dev(source: Source) -> frozenset[str]:
    """Ids of dev's sentences, and of the pairs of the one sentence that is only partly in BLUE's dev set.

    The sentences are those of a list beside the corpus, otherwise of BLUE's list.
    """
    known = frozenset(ids("ddi2013_dev"))
    names = source.find("dev_sentence_ids.txt")
    if not names:
        return known
    name = one_copy(source, names, "dev_sentence_ids.txt")
    listed = {line.strip() for _, line in source.lines(name)} - {""}
    pairs = {pair for pair in known if pair.rpartition(".")[0] in listed}
    return frozenset(listed - {pair.rpartition(".")[0] for pair in pairs} | pairs)


def _index(source: Source, names: Iterable[str]) -> dict[str, str]:
    """Document id -> file. The id is inside the file, not in its name, and determines the order of the rows."""
    index: dict[str, str] = {}
    for name in names:
        match = _DOCUMENT_ID.search(source.read_bytes(name)[:_HEAD])
        if not match:
            raise InputError("no document id", path=source.where(name), line=1, expected='<document id="…">')
        document = match[1].decode("utf-8", "replace")
        if document in index:
            problem = f"document {document} again; it is also in {source.where(index[document])}"
            raise InputError(problem, path=source.where(name), line=1)
        index[document] = name
    return dict(sorted(index.items()))


def _document(source: Source, name: str) -> Element:
    roots = list(elements(io.BytesIO(source.read_bytes(name)), "document", source.where(name), root="document"))
    return roots[0]


@dataclass(frozen=True, slots=True)
class _Drug:
    id: str
    type: str
    span: tuple[int, int]


def pairs(source: Source, name: str) -> Iterator[tuple[str, str, Record]]:
    """(Sentence id, pair id, record) of every pair of a document."""
    document, where = _document(source, name), source.where(name)
    for sentence in sorted(document.all("sentence"), key=lambda sentence: _get(sentence, "id", where)):
        text = _get(sentence, "text", where)
        drugs = {drug.id: drug for drug in (_drug(entity, text, where) for entity in sentence.all("entity"))}
        for pair in sentence.all("pair"):
            if (label := _label(pair, where)) is None:
                continue
            identifier = _get(pair, "id", where)
            entities = [_entity(_argument(pair, key, drugs, where), text) for key in ("e1", "e2")]
            fields = {"id": identifier, "doc_id": document.attributes["id"], "text": text.rstrip()}
            record = Located((where, pair.line), **fields, label=label, entities=entities)
            yield sentence.attributes["id"], identifier, record


def _entity(drug: _Drug, text: str) -> dict[str, Any]:
    start, end = drug.span
    return {"id": drug.id, "type": drug.type, "start": start, "end": end, "text": text[start:end]}


def _label(pair: Element, where: str) -> str | None:
    """The label, or None for an interaction without a type: the format allows it, no label applies to it, and BLUE
    left out the only one (``DDI-DrugBank.d236.s29.p0``)."""
    marked, interaction = _get(pair, "ddi", where), pair.attributes.get("type")
    if marked == "false":
        return "DDI-false"
    if marked != "true":
        raise InputError(f"ddi={marked[:40]!r}", path=where, line=pair.line, expected="true or false")
    if interaction is None:
        return None
    if interaction not in _TYPES:
        raise InputError(
            f"a pair of type {interaction[:40]!r}", path=where, line=pair.line, fix=nearest(interaction, _TYPES)
        )
    return f"DDI-{interaction}"


def _argument(pair: Element, key: str, drugs: dict[str, _Drug], where: str) -> _Drug:
    name = _get(pair, key, where)
    if name not in drugs:
        raise InputError(f"{key}={name[:60]!r}", path=where, line=pair.line, expected="an entity of the same sentence")
    return drugs[name]


def _drug(entity: Element, text: str, where: str) -> _Drug:
    """An entity's full extent, from its first start to its last end; the XML's ends are inclusive."""
    written = _get(entity, "charOffset", where)
    ranges = [match and (int(match[1]), int(match[2]) + 1) for match in map(_RANGE.fullmatch, written.split(";"))]
    pieces = [piece for piece in ranges if piece]
    if len(pieces) < len(ranges):
        raise InputError(f"charOffset {written[:40]!r}", path=where, line=entity.line, expected="START-END[;START-END]")
    start, end = min(pieces)[0], max(end for _, end in pieces)
    if not all(begin < stop <= len(text) for begin, stop in pieces):
        problem = f"charOffset {written[:40]!r} in a sentence of {len(text)} characters"
        raise InputError(problem, path=where, line=entity.line, expected="a span inside the sentence")
    expected, written_text = text[start:end], _get(entity, "text", where)
    if len(pieces) == 1 and written_text != expected:
        raise InputError(
            f"entity {written_text[:60]!r}", path=where, line=entity.line, expected=f"{expected[:60]!r} as in the text"
        )
    return _Drug(_get(entity, "id", where), entity.attributes.get("type", ""), (start, end))


def _get(element: Element, attribute: str, where: str) -> str:
    try:
        return element.attributes[attribute]
    except KeyError:
        problem = f"<{element.tag}> without {attribute!r}"
        raise InputError(problem, path=where, line=element.line, expected=f"the attribute {attribute!r}") from None
