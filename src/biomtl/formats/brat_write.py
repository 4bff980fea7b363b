"""Writing brat standoff."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path, PurePosixPath

from biomtl.errors import InputError
from biomtl.formats.model import Document, Mention, Relation, check_references, check_writable
from biomtl.storage.files import atomic_folder

_LINE_SAFE = str.maketrans("\t\r\n", "   ")
_FORBIDDEN = re.compile(r'[\x00-\x1f\\:*?"<>|]')  # in names of files, on one system or another


def write(documents: Iterable[Document], folder: str | Path, *, overwrite: bool = False) -> int:
    """Write ``NAME.txt`` and ``NAME.ann`` per document into a new folder, which appears only when complete.

    Mentions, relations and events keep ids in brat's form (``T1``, ``R1``, ``E1``); if one has another form or occurs
    twice, all are renumbered. An id with ``/`` creates a subfolder.

    Returns:
        The number of documents.

    Raises:
        InputError: an id that can't be a file name, a type with spaces, a relation between concepts, not mentions.
    """
    done: set[str] = set()
    with atomic_folder(folder, "annotate", overwrite=overwrite) as work:
        for document in documents:
            check_writable(document, folder)
            name = _file_name(document.id, folder)
            if name.casefold() in done:
                raise InputError(f"a second document {name!r}", path=folder, fix="give the documents different ids")
            done.add(name.casefold())
            target = work / f"{name}.txt"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(document.text.encode())
            lines = "".join(line + "\n" for line in _lines(document, folder))
            (work / f"{name}.ann").write_bytes(lines.encode())
    return len(done)


def _file_name(identifier: str, folder: str | Path) -> str:
    parts = PurePosixPath(identifier).parts
    plain = identifier == "/".join(parts) and not identifier.startswith("/")
    if not plain or ".." in parts or not parts or _FORBIDDEN.search(identifier):
        raise InputError(f"document id {identifier[:60]!r}", path=folder, expected="a plain file name", fix="rename it")
    if any(len(component.encode()) > 200 or component[0] == "." for component in parts):
        raise InputError(f"document id {identifier[:60]!r}", path=folder, expected="a file name up to 200 bytes")
    return identifier


def _lines(document: Document, folder: str | Path) -> Iterator[str]:
    check_references(document, folder)
    own = _names(document)
    mentions = list(zip(document.mentions, own, strict=False))
    relations = list(zip(document.relations, own[len(mentions) :], strict=True))
    names = {relation.id: name for relation, name in relations}
    names |= {mention.id: name for mention, name in mentions}  # an id of both kinds is a mention's
    numbers = {letter: count(1) for letter in "AN#"}
    for mention, name in mentions:
        place = ";".join(f"{start} {end}" for start, end in mention.spans)
        yield f"{name}\t{_word(mention.type, folder)} {place}\t{mention.text.translate(_LINE_SAFE)}"
        spelled = {key[2:]: value for key, value in mention.attributes if key.startswith("N:")}
        for reference in mention.identifiers:
            tail = f"\t{spelled[reference].translate(_LINE_SAFE)}" if reference in spelled else ""
            yield f"N{next(numbers['N'])}\tReference {name} {_word(reference, folder)}{tail}"
        yield from _attributes(mention, name, numbers, folder)
    for relation, name in relations:
        arguments = [
            (_word(role, folder, empty=True, colon=False), names.get(value)) for role, value in relation.arguments
        ]
        if lost := [value for (_, value), (_, known) in zip(relation.arguments, arguments, strict=True) if not known]:
            problem = f"relation {relation.id} of document {document.id} between {lost[0]!r} and others"
            raise InputError(problem, path=folder, expected="relations between mentions (brat)", fix="write PubTator")
        relation_type = _word(relation.type, folder, colon=False)
        if name.startswith("*"):
            yield f"*\t{relation_type} " + " ".join(str(value) for _, value in arguments)
        elif name.startswith("E"):
            yield f"{name}\t{relation_type}:{arguments[0][1]}" + "".join(
                f" {role}:{value}" for role, value in arguments[1:]
            )
        else:
            yield f"{name}\t{relation_type}" + "".join(f" {role}:{value}" for role, value in arguments)
        yield from _attributes(relation, name, numbers, folder)


def _names(document: Document) -> list[str]:
    """Ids in brat's form, those of mentions before those of relations.

    A relation whose first argument is a trigger is an event; one without roles is an Equiv.
    """
    items: tuple[Mention | Relation, ...] = (*document.mentions, *document.relations)
    letters = ["T"] * len(document.mentions) + [_letter(relation) for relation in document.relations]
    unique = len({item.id for item in items}) == len(items)
    good = all(re.fullmatch(re.escape(letter) + "[0-9]+", item.id) for item, letter in zip(items, letters, strict=True))
    if unique and good:
        return [item.id for item in items]
    numbers = {letter: count(1) for letter in "TRE*"}
    return [f"{letter}{next(numbers[letter])}" for letter in letters]


def _letter(relation: Relation) -> str:
    if relation.arguments and all(not role for role, _ in relation.arguments):
        return "*"
    return "E" if relation.arguments and relation.arguments[0][0] == "trigger" else "R"


def _attributes(
    item: Mention | Relation, name: str, numbers: dict[str, count[int]], folder: str | Path
) -> Iterator[str]:
    for key, value in item.attributes:
        if key.startswith("N:"):
            continue  # an identifier's name, written with it
        if key == "AnnotatorNotes" or (value and not _is_word(value)):  # an attribute's value is one word
            yield f"#{next(numbers['#'])}\t{_word(key, folder)} {name}\t{value.translate(_LINE_SAFE)}"
        else:
            yield f"A{next(numbers['A'])}\t{_word(key, folder)} {name}{' ' * bool(value)}{value}"


def _is_word(value: str) -> bool:
    return bool(value) and not any(c.isspace() for c in value)


def _word(value: str, folder: str | Path, *, empty: bool = False, colon: bool = True) -> str:
    if not (_is_word(value) or (empty and not value)) or (":" in value and not colon):
        expected = "a single word (brat's types have no spaces)" if colon else "a single word without a colon"
        raise InputError(f"{value[:40]!r}", path=folder, expected=expected)
    return value
