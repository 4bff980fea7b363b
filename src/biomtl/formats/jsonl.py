"""Documents as JSON lines: one `Document` per line, with plain keys.

    {"id": "d1", "text": "Naloxone reverses …",
     "passages": [{"type": "title", "start": 0, "end": 8}],
     "mentions": [{"id": "T0", "type": "Chemical", "start": 0, "end": 8, "text": "Naloxone",
                   "identifiers": ["D009270"], "attributes": {"task": "bc5cdr-chem", "probability": "0.998"}}],
     "relations": [{"id": "R0", "type": "DDI-effect", "arguments": [{"role": "Arg1", "id": "T0"}, …]}]}

Only ``text`` is required; a line without ``id`` is identified by its number, and other keys are kept. A discontinuous
mention has ``spans`` (``[[start, end], …]``) in addition to its extent. Attribute values are strings, or lists of
strings if a name is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from biomtl.errors import InputError, OnError, fail
from biomtl.formats.model import (
    Attributes,
    Document,
    Mention,
    Passage,
    Relation,
    Span,
    check_mention,
    check_writable,
    covered,
)
from biomtl.storage.files import atomic_file, dump_json, read_jsonl

PARTS = ("text", "passages", "mentions", "relations")
Json = dict[str, Any]


def read(path: str | Path, on_error: OnError = fail) -> Iterator[Document]:
    """Stream the documents of a file; ``on_error`` is called with the first error in a document, which is then skipped.

    Raises:
        InputError: with file and line; see `to_document`.
    """
    for line, record in read_jsonl(path):
        try:
            document = to_document(record, path, line)
        except InputError as error:
            on_error(error)
        else:
            yield document


def to_document(record: Json, path: str | Path, line: int) -> Document:
    """The document of one line.

    Raises:
        InputError: no text, a malformed value, a mention outside the text or with a text that doesn't match it.
    """
    if not isinstance(record.get("text"), str):
        fix = "join them into one text" if "tokens" in record else None
        raise InputError("no text", path=path, line=line, expected='"text": "…"', fix=fix)
    text = record["text"]
    try:
        mentions = tuple(_mention(item, f"T{i}", text) for i, item in enumerate(record.get("mentions", ())))
        relations = tuple(_relation(item, f"R{i}") for i, item in enumerate(record.get("relations", ())))
        passages = tuple(Passage(str(item["type"]), *_span(item)) for item in record.get("passages", ()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"an object without {error}" if isinstance(error, KeyError) else f"a malformed value ({error})"
        raise InputError(reason, path=path, line=line, fix="see docs/formats.md") from error
    for mention in mentions:
        check_mention(mention, text, path, line)
    at = 0
    for passage in passages:
        if not at <= passage.start <= passage.end <= len(text):
            problem = f"a passage at {passage.start}-{passage.end}"
            raise InputError(problem, path=path, line=line, expected="passages inside the text, in order")
        at = passage.end
    # An id that isn't a string, such as a PubMed id written as a number, is written again unchanged.
    fields = {
        key: record[key] for key in record if key not in PARTS and not (key == "id" and isinstance(record[key], str))
    }
    document = Document(_word(record, "id", str(line)), text, passages, mentions, relations, fields, line)
    check_writable(document, path)
    return document


def _span(item: Json) -> Span:
    start, end = item["start"], item["end"]
    if type(start) is not int or type(end) is not int:
        raise ValueError("offsets that are not integers")
    return start, end


def _mention(item: Json, name: str, text: str) -> Mention:
    pieces = item.get("spans")
    spans = (_span(item),) if pieces is None else tuple(_span({"start": s, "end": e}) for s, e in pieces)
    identifiers = tuple(str(value) for value in item.get("identifiers") or () if value is not None)
    said = _word(item, "text", covered(text, spans))
    attributes = _pairs(item.get("attributes"))
    return Mention(_word(item, "id", name), _word(item, "type", ""), spans, said, identifiers, attributes)


def _relation(item: Json, name: str) -> Relation:
    arguments = tuple((_word(argument, "role", ""), str(argument["id"])) for argument in item["arguments"])
    return Relation(_word(item, "id", name), _word(item, "type", ""), arguments, _pairs(item.get("attributes")))


def _word(item: Json, key: str, default: str) -> str:
    """A value as text; ``null`` counts as missing."""
    return default if (value := item.get(key)) is None else str(value)


def _pairs(attributes: Json | None) -> Attributes:
    return tuple(
        (key, str(value))
        for key, values in ({} if attributes is None else attributes).items()
        for value in (values if isinstance(values, list) else [values])
    )


def write(documents: Iterable[Document], path: str | Path, *, overwrite: bool = False) -> int:
    """Write the documents under a temporary name, then rename; returns how many.

    Raises:
        InputError: a mention outside its text, an existing file.
    """
    count = 0
    with atomic_file(path, overwrite=overwrite) as stream:
        for document in documents:
            check_writable(document, path)
            stream.write(dump_json(to_record(document)) + "\n")
            count += 1
    return count


def to_record(document: Document) -> Json:
    """One line's object, with ``passages`` only if the document has any."""
    record: Json = {"id": document.id, **document.fields, "text": document.text}
    if document.passages:
        record["passages"] = [{"type": p.type, "start": p.start, "end": p.end} for p in document.passages]
    record["mentions"] = [_mention_record(mention) for mention in document.mentions]
    record["relations"] = [
        {
            "id": relation.id,
            "type": relation.type,
            "arguments": [{"role": role, "id": value} for role, value in relation.arguments],
            **_named(relation.attributes),
        }
        for relation in document.relations
    ]
    return record


def _mention_record(mention: Mention) -> Json:
    record: Json = {"id": mention.id, "type": mention.type, "start": mention.start, "end": mention.end}
    if len(mention.spans) > 1:
        record["spans"] = [list(span) for span in mention.spans]
    record["text"] = mention.text
    if mention.identifiers:
        record["identifiers"] = list(mention.identifiers)
    return record | _named(mention.attributes)


def _named(attributes: Attributes) -> Json:
    named: dict[str, list[str]] = {}
    for key, value in attributes:
        named.setdefault(key, []).append(value)
    if not named:
        return {}
    return {"attributes": {key: values[0] if len(values) == 1 else values for key, values in named.items()}}
