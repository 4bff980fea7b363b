"""BioC as XML (``.xml``) and JSON (``.json``): collection, documents, passages, sentences, annotations, relations.

Both forms hold the same tree (Comeau et al. 2013, doi:10.1093/database/bat064; BioC.dtd). Offsets count characters from
the document's start. XML is streamed, a JSON file is read at once. Gaps between passages become spaces, so that
every offset stays valid. The infons ``type`` and ``identifier`` (several joined by ``|``; without it ``MESH``) have
their own fields; other infons of annotations and relations become attributes. A relation without nodes holds between
concepts, as in BC5CDR's own BioC: its arguments are the infons with a mention's identifier (or, for mentions that have
none, its id; or, if there are none, its only two infons), and its type may be called ``relation``. The JSON of PubTator
3 is read, too: its list of documents has another name, and a relation's arguments are objects with an ``identifier``.
Infons of collections, documents and passages other than a passage's ``type`` are not kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from biomtl.errors import InputError, OnError, fail
from biomtl.formats import bioc_write
from biomtl.formats.model import (
    Attributes,
    Document,
    Mention,
    Passage,
    Relation,
    check_mention,
    check_writable,
    covered,
)
from biomtl.formats.model import offset as whole_number
from biomtl.formats.xml import Element, elements
from biomtl.storage.files import BROKEN_GZ, MAX_LINE, open_binary, suffix_of
from biomtl.text.concepts import concepts_of, split_identifiers

COLLECTIONS = ("documents", "PubTator3")  # the list of documents in JSON; the second is the service's own name
ROLES = ["role1", "role2"]  # a relation's arguments in PubTator 3
Node = dict[str, Any]  # an object of BioC JSON; from XML it also has its "line"

write = bioc_write.write


def read(path: str | Path, on_error: OnError = fail) -> Iterator[Document]:
    """Stream the documents of a BioC file; a name ending in ``.json`` means JSON, any other XML.

    Raises:
        InputError: with the file and, for XML, the line; see `parse`.
    """
    try:
        with open_binary(path) as stream:
            yield from parse(stream, path, as_json=suffix_of(path) == ".json", on_error=on_error)
    except BROKEN_GZ as error:
        raise InputError(f"can't be unpacked ({error})", path=path, fix="copy it again") from error
    except OSError as error:
        raise InputError(f"can't be read ({error.strerror})", path=path, fix="check the path") from error


def parse(
    stream: BinaryIO, where: str | Path, *, as_json: bool = False, on_error: OnError = fail
) -> Iterator[Document]:
    """Stream the documents of a binary stream.

    ``on_error`` is called with the first error in a document; if it returns, the document is skipped.

    Raises:
        InputError: broken XML or JSON, entity declarations, missing elements, a mention outside the text or with a
            text that differs from what its offsets cover, a relation between unknown ids.
    """
    nodes = _json_documents(stream, where) if as_json else map(_node, elements(stream, "document", where, "collection"))
    for node in nodes:
        try:
            document = _Builder(where).document(node)
        except InputError as error:
            on_error(error)
        else:
            yield document


def _json_documents(stream: BinaryIO, where: str | Path) -> Iterator[Node]:
    content = stream.read(MAX_LINE * 16 + 1)
    if len(content) > MAX_LINE * 16:
        raise InputError(f"a JSON file of over {MAX_LINE * 16:,} bytes", path=where, fix="use BioC XML, it is streamed")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON ({error})", path=where, line=getattr(error, "lineno", None)) from error
    for collection in value if isinstance(value, list) else [value]:
        named = [collection[key] for key in COLLECTIONS if key in collection] if isinstance(collection, dict) else []
        if not named or not isinstance(named[0], list):
            raise InputError("no 'documents'", path=where, expected="a BioC collection or a list of them")
        yield from named[0]


_LISTS = {"passage": "passages", "sentence": "sentences", "annotation": "annotations", "relation": "relations"}
_LISTS |= {"location": "locations", "node": "nodes"}
_MAX_GAP = 100_000  # blanks; more is a broken offset
_FIELDS = {"id", "offset", "length", "text", "refid", "role"}


def _node(element: Element) -> Node:
    """An XML element in the shape of BioC JSON."""
    node: Node = {key: value for key, value in element.attributes.items() if key in _FIELDS}
    node |= {"line": element.line, "infons": {}}
    for child in element.children:
        if child.tag == "infon":
            node["infons"][child.attributes.get("key", "")] = child.text
        elif name := _LISTS.get(child.tag):
            node.setdefault(name, []).append(_node(child))
        elif child.tag in _FIELDS:  # a document's id is an element, an annotation's an attribute
            node[child.tag] = child.text
    return node


class _Builder:
    """One document from its tree."""

    def __init__(self, where: str | Path) -> None:
        self.where = where
        self.name = ""
        self.parts: list[str] = []
        self.length = 0

    def document(self, node: Node) -> Document:
        node = self._object(node, "document")
        self.name = self._string(node, "id")
        passages: list[Passage] = []
        annotations: list[Node] = self._list(node, "annotations")
        relations: list[Node] = self._list(node, "relations")
        for passage in self._list(node, "passages"):
            sentences = self._list(passage, "sentences")
            begins = [self._add(unit) for unit in ([passage] if passage.get("text") else sentences or [passage])]
            passages.append(Passage(self._infons(passage).get("type", "passage"), begins[0], self.length))
            for unit in (passage, *sentences):
                annotations += self._list(unit, "annotations")
                relations += self._list(unit, "relations")
        text = "".join(self.parts)
        mentions = tuple(self._mention(annotation, text) for annotation in annotations)
        concepts, ids = _concepts(mentions), {mention.id for mention in mentions}
        found = [self._relation(relation, concepts, ids) for relation in relations]
        known = ids | {relation.id for relation, _ in found}
        for (relation, by_nodes), source in zip(found, relations, strict=True):
            named = relation.arguments if by_nodes and not concepts.issuperset(_values(relation)) else ()
            if missing := [value for _, value in named if value not in known]:
                raise self._error(source, f"relation {relation.id} refers to {missing[0]!r}, which doesn't exist")
        mentions, made = _told_apart(mentions, found, concepts)
        whole = passages == [Passage("passage", 0, len(text))]
        document = Document(self.name, text, () if whole else tuple(passages), mentions, made)
        check_writable(document, self.where)  # JSON can escape what text can't hold
        return document

    def _add(self, unit: Node) -> int:
        """Append a passage's or sentence's text at its offset, after spaces if needed; returns its start."""
        if "text" not in unit:
            return self.length
        text, begin = self._string(unit, "text", default=""), self._number(unit, "offset")
        if begin < self.length:
            raise self._error(unit, f"offset {begin} inside the preceding text, which ends at {self.length}")
        if begin - self.length > _MAX_GAP:
            raise self._error(unit, f"a gap of {begin - self.length:,} characters before offset {begin}")
        self.parts += (" " * (begin - self.length), text)
        self.length = begin + len(text)
        return begin

    def _mention(self, node: Node, text: str) -> Mention:
        infons = self._infons(node)
        locations = [
            (self._number(location, "offset"), self._number(location, "length"))
            for location in self._list(node, "locations")
        ]
        name, said = self._string(node, "id", default=""), self._string(node, "text", default="")
        if not locations:
            raise self._error(node, f"annotation {name!r} without a location")
        spans = tuple((start, start + length) for start, length in locations)
        mention_type, identifier = infons.pop("type", ""), infons.pop("identifier", "") or infons.pop("MESH", "")
        mention = Mention(name, mention_type, spans, said, split_identifiers(identifier), _pairs(infons))
        check_mention(mention, text, self.where, node.get("line"), exact=len(spans) == 1)
        here = covered(text, spans)
        if re.sub(r"\W+", "", said) != re.sub(r"\W+", "", here):  # pieces are joined by spaces, dots or semicolons
            raise self._error(
                node, f"annotation {name!r} has the text {said[:60]!r}, but its locations cover {here[:60]!r}"
            )
        return Mention(name, mention_type, spans, here, mention.identifiers, mention.attributes)

    def _relation(self, node: Node, concepts: frozenset[str], ids: Set[str]) -> tuple[Relation, bool]:
        """A relation, and whether its arguments are the nodes, which are ids; otherwise they are concepts."""
        infons = self._infons(node)
        name, nodes = self._string(node, "id", default=""), self._list(node, "nodes")
        named = {key: concepts_of([value]) for key, value in infons.items()}
        roles = tuple(pair for pair in infons.items() if named[pair[0]] and concepts.issuperset(named[pair[0]]))
        if nodes and sorted(role for role, _ in roles) != ROLES:  # it has nodes, too, which name no annotations
            arguments = tuple((self._string(item, "role", default=""), self._string(item, "refid")) for item in nodes)
            return Relation(name, infons.pop("type", ""), arguments, _pairs(infons)), True
        relation_type = infons.pop("type", None) or infons.pop("relation", "")
        if len(roles) < 2:
            either = tuple(pair for pair in infons.items() if pair in roles or pair[1] in ids)
            others = tuple(pair for pair in infons.items() if pair[0] != "note")
            roles = next((pairs for pairs in (either, others) if len(pairs) == 2), ())
        return Relation(name, relation_type, roles, tuple(pair for pair in infons.items() if pair not in roles)), False

    def _object(self, value: Any, what: str) -> Node:
        if not isinstance(value, dict):
            raise InputError(f"{what!r} is {type(value).__name__}", path=self.where, expected="an object")
        return value

    def _list(self, node: Node, name: str) -> list[Node]:
        value = node.get(name) or []
        if not isinstance(value, list):
            raise self._error(node, f"{name!r} is {type(value).__name__}, expected a list")
        return [self._object(item, name) for item in value]

    def _infons(self, node: Node) -> dict[str, str]:
        value = self._object(node.get("infons") or {}, "infons")
        plain = {key: item.get("identifier") if isinstance(item, dict) else item for key, item in value.items()}
        return {str(key): "" if item is None else str(item) for key, item in plain.items()}

    def _string(self, node: Node, name: str, default: str | None = None) -> str:
        value = node.get(name, default)
        if isinstance(value, int):
            value = str(value)  # JSON writers give PMIDs as numbers
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self._error(node, f"no {name!r}" if value is None else f"{name!r} is {type(value).__name__}")
        return value

    def _number(self, node: Node, name: str) -> int:
        return whole_number(self._string(node, name).strip(), self.where, node.get("line"))

    def _error(self, node: Node, message: str) -> InputError:
        problem = f"document {self.name}: {message}" if self.name else message
        return InputError(problem, path=self.where, line=node.get("line"), fix="check the file against BioC.dtd")


def _concepts(mentions: tuple[Mention, ...]) -> frozenset[str]:
    """The concept identifiers of a document's mentions; files may also name them by their database (``OMIM``)."""
    values = [(*mention.identifiers, *(value for _, value in mention.attributes)) for mention in mentions]
    return frozenset(concept for own in values for concept in concepts_of(own))


def _told_apart(
    mentions: tuple[Mention, ...], found: Sequence[tuple[Relation, bool]], concepts: frozenset[str]
) -> tuple[tuple[Mention, ...], tuple[Relation, ...]]:
    """Mentions and relations, with other ids for the mentions if a relation's concept is one, as numbers of genes are.

    Args:
        mentions: the document's.
        found: its relations, and whether their arguments are ids.
        concepts: those of its mentions.
    """
    named = {value for relation, by_id in found if not by_id for _, value in relation.arguments} & concepts
    mark = ""
    while any(mark + mention.id in named for mention in mentions):
        mark += "T"
    new = {mention.id: mark + mention.id for mention in mentions}
    relations = (
        replace(
            relation,
            arguments=tuple(
                (role, value if value in named and not by_id else new.get(value, value))
                for role, value in relation.arguments
            ),
        )
        for relation, by_id in found
    )
    return tuple(replace(mention, id=new[mention.id]) for mention in mentions), tuple(relations)


def _values(relation: Relation) -> list[str]:
    return [concept for _, value in relation.arguments for concept in concepts_of([value])]


def _pairs(infons: dict[str, str]) -> Attributes:
    return tuple(infons.items())


__all__ = ["parse", "read", "write"]
