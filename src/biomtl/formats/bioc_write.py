"""Writing BioC, XML and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from biomtl.errors import InputError
from biomtl.formats.model import Attributes, Document, Mention, Passage, Relation, check_writable
from biomtl.storage.files import atomic_file

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # XML 1.0 has no way to write these
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n'
_ITEMS = {"passages": "passage", "annotations": "annotation", "relations": "relation"}
_ITEMS |= {"locations": "location", "nodes": "node"}


def write(documents: Iterable[Document], path: str | Path, *, source: str = "", overwrite: bool = False) -> int:
    """Write a BioC collection under a temporary name, then rename; ``.json`` gives JSON, any other name XML.

    Each annotation is written in the passage where it starts, so reading may give another order. If there is text
    other than whitespace outside the passages, the document is written as one passage.

    Args:
        documents: streamed.
        path: the target.
        source: the collection's ``source``.
        overwrite: whether an existing file may be replaced.

    Returns:
        The number of documents.

    Raises:
        InputError: characters that the format can't hold, a mention outside its text, an existing file.
    """
    as_json = Path(path).suffix.lower() == ".json"
    count = 0
    with atomic_file(path, overwrite=overwrite) as stream:
        if as_json:
            stream.write(f'{{"source":{json.dumps(source)},"date":"","key":"","infons":{{}},"documents":[')
        else:
            stream.write(f"{_HEAD}<collection><source>{_text(source, path)}</source><date/><key/>\n")
        for document in documents:
            check_writable(document, path)
            _check_names(document, path)
            tree = _tree(document)
            if as_json:
                stream.write(",\n" * bool(count) + json.dumps(tree, ensure_ascii=False))
            else:
                stream.write("".join(_xml("document", tree, path)) + "\n")
            count += 1
        stream.write("]}\n" if as_json else "</collection>\n")
    return count


def _check_names(document: Document, path: str | Path) -> None:
    """Refuse attributes with the names of the infons that hold types and concepts."""
    own: list[tuple[str, Attributes, tuple[str, ...]]] = []
    own += [(f"mention {m.id}", m.attributes, ("type", "identifier")) for m in document.mentions]
    own += [(f"relation {r.id}", r.attributes, ("type",)) for r in document.relations]
    for what, attributes, taken in own:
        if bad := next((name for name, _ in attributes if name in taken), None):
            problem = f"document {document.id}: {what} has an attribute {bad!r}"
            raise InputError(problem, path=path, expected=f"another name, as BioC has its own {bad!r}", fix="rename it")


def _tree(document: Document) -> dict[str, Any]:
    passages = _passages(document)
    nodes: list[dict[str, Any]] = [
        {"infons": {"type": p.type}, "offset": p.start, "text": document.text[p.start : p.end], "annotations": []}
        for p in passages
    ]
    for mention in document.mentions:
        home = next((i for i, p in enumerate(passages) if p.start <= mention.start < p.end), 0)
        nodes[home]["annotations"].append(_annotation(mention))
    known = {mention.id for mention in document.mentions} | {relation.id for relation in document.relations}
    relations = [_relation(relation, known) for relation in document.relations]
    return {"id": document.id, "infons": {}, "passages": nodes, "relations": relations}


def _passages(document: Document) -> tuple[Passage, ...]:
    """The document's passages if there is only whitespace outside them, otherwise one passage with everything."""
    at = 0
    for passage in document.passages:
        if passage.start < at or document.text[at : passage.start].strip(" "):
            return (Passage("passage", 0, len(document.text)),)
        at = passage.end
    whole = at == len(document.text) and bool(document.passages)
    return document.passages if whole else (Passage("passage", 0, len(document.text)),)


def _annotation(mention: Mention) -> dict[str, Any]:
    infons = _infons(mention.type, mention.attributes)
    if mention.identifiers:
        infons["identifier"] = "|".join(mention.identifiers)
    locations = [{"offset": start, "length": end - start} for start, end in mention.spans]
    return {"id": mention.id, "infons": infons, "text": mention.text, "locations": locations}


def _relation(relation: Relation, known: set[str]) -> dict[str, Any]:
    """Nodes if all arguments are mentions or relations, otherwise infons (as for PubTator's concepts), in order."""
    infons, nodes = relation.attributes, [{"refid": value, "role": role} for role, value in relation.arguments]
    if not all(value in known for _, value in relation.arguments):
        roles, values = zip(*relation.arguments, strict=True)
        if len({"", *roles}) <= len(roles):  # an infon needs a name of its own
            roles = tuple(f"arg{i}" for i in range(1, len(roles) + 1))
        infons, nodes = (*infons, *zip(roles, values, strict=True)), []
    return {"id": relation.id, "infons": _infons(relation.type, infons), "nodes": nodes}


def _infons(type_name: str, attributes: Attributes) -> dict[str, str]:
    """Type and attributes by name; values of a repeated name are joined by ``|``."""
    infons = {"type": type_name}
    for key, value in attributes:
        infons[key] = f"{infons[key]}|{value}" if key in infons else value
    return infons


def _xml(tag: str, node: dict[str, Any], path: str | Path) -> Iterator[str]:
    """A tree as XML, in the DTD's order of elements."""
    names = {"annotation": ("id",), "relation": ("id",), "location": ("offset", "length"), "node": ("refid", "role")}
    attributes = "".join(f" {name}={_attribute(node[name], path)}" for name in names.get(tag, ()))
    if tag in ("location", "node"):
        yield f"<{tag}{attributes}/>"
        return
    yield f"<{tag}{attributes}>"
    if tag == "document":
        yield f"<id>{_text(node['id'], path)}</id>"
    yield from (f"<infon key={_attribute(k, path)}>{_text(v, path)}</infon>" for k, v in node["infons"].items())
    if tag == "passage":
        yield f"<offset>{node['offset']}</offset><text>{_text(node['text'], path)}</text>"
    for name, item in _ITEMS.items():
        for child in node.get(name, ()):
            yield from _xml(item, child, path)
    if tag == "annotation":
        yield f"<text>{_text(node['text'], path)}</text>"
    yield f"</{tag}>"


def _text(value: str, path: str | Path) -> str:
    if bad := _NOT_XML.search(value):
        problem = f"character U+{ord(bad[0]):04X}"
        raise InputError(problem, path=path, expected="text that XML can hold", fix="write BioC JSON")
    return escape(value, {"\r": "&#13;"})  # an XML reader turns a bare CR into an LF


def _attribute(value: object, path: str | Path) -> str:
    _text(str(value), path)
    return quoteattr(str(value))
