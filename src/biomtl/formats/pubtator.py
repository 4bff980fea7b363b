"""PubTator: blocks of title, abstract, mention and relation lines, separated by blank lines.

    227508|t|Title
    227508|a|Abstract
    227508<TAB>0<TAB>8<TAB>Naloxone<TAB>Chemical<TAB>D009270[<TAB>single names of a composite]
    227508<TAB>CID<TAB>D003000<TAB>D007022[<TAB>note]

The text is title + one space + abstract; offsets are 0-based characters, end exclusive (Wei et al. 2013,
doi:10.1093/nar/gkt441; BioCreative V CDR's readme calls the end "last character", but its data are end-exclusive).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from biomtl.errors import InputError, OnError, fail
from biomtl.formats.model import Document, Mention, Passage, Relation, check_mention, check_writable, offset
from biomtl.storage.files import atomic_file, read_lines
from biomtl.text.concepts import concepts_of, split_identifiers

_TEXT_LINE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_TABLE_SAFE = str.maketrans("\t\r\n", "   ")  # one for one, so that offsets stay valid
_DIVIDE = "separate documents by a blank line"

Line = tuple[int, str]


def read(path: str | Path, on_error: OnError = fail) -> Iterator[Document]:
    """Stream the documents of a PubTator file.

    Raises:
        InputError: with file and line; see `parse`.
    """
    return parse(read_lines(path, on_error), path, on_error)


def parse(lines: Iterable[Line], where: str | Path, on_error: OnError = fail) -> Iterator[Document]:
    """Stream the documents of numbered lines (``Source.lines``, ``files.read_lines``).

    Mention lines have 6 columns or more (5 without identifier), relation lines 4 (or 5 with a note). Identifiers are
    split at ``|``, except variants (``p|SUB|R|12|Q``); mention ids are ``T0``, ``T1`` … and relation ids ``R0``,
    ``R1`` … in the document's order.
    ``on_error`` is called with the first error in a document; if it returns, the document is skipped.

    Raises:
        InputError: any other line, a line of another document, a mention outside the text or with a text that differs
            from what its offsets cover.
    """
    for block in _blocks(lines):
        try:
            document = _document(block, where)
        except InputError as error:
            on_error(error)
        else:
            yield document


def _blocks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    block: list[Line] = []
    for number, line in lines:
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _document(block: list[Line], where: str | Path) -> Document:
    texts: dict[str, str] = {}
    rows: list[tuple[int, list[str]]] = []
    identifier = ""
    for number, line in block:
        if match := _TEXT_LINE.fullmatch(line):
            document_id, section, text = match.groups()
            if section in texts:
                raise InputError(f"a second |{section}| line in one block", path=where, line=number, fix=_DIVIDE)
            texts[section] = text
        else:
            document_id, *columns = line.split("\t")
            rows.append((number, columns))
        identifier = identifier or document_id
        if document_id != identifier:
            message = f"a line of document {document_id[:40]!r} inside {identifier[:40]!r}"
            raise InputError(message, path=where, line=number, fix=_DIVIDE)
    if not texts:
        raise InputError("a block without text", path=where, line=block[0][0], expected="ID|t|title and ID|a|abstract")
    text, passages = _text(texts)
    mentions: list[Mention] = []
    relations: list[Relation] = []
    for number, columns in rows:
        if _is_relation(columns):
            arguments = (("arg1", columns[1]), ("arg2", columns[2]))
            relations.append(Relation(f"R{len(relations)}", columns[0], arguments, _rest("note", columns[3:])))
        else:
            mentions.append(_mention(columns, f"T{len(mentions)}", where, number))
            check_mention(mentions[-1], text, where, number)
    return Document(identifier, text, passages, tuple(mentions), tuple(relations), line=block[0][0])


def _text(texts: dict[str, str]) -> tuple[str, tuple[Passage, ...]]:
    """Text and passages; a missing title counts as empty, a missing abstract adds nothing."""
    title, abstract = texts.get("t", ""), texts.get("a")
    if abstract is None:
        return title, (Passage("title", 0, len(title)),)
    start = len(title) + 1
    return f"{title} {abstract}", (Passage("title", 0, len(title)), Passage("abstract", start, start + len(abstract)))


def _is_relation(columns: list[str]) -> bool:
    return len(columns) == 3 or (len(columns) == 4 and not (columns[0].isdecimal() and columns[1].isdecimal()))


def _mention(columns: list[str], name: str, where: str | Path, line: int) -> Mention:
    if len(columns) < 4:
        problem = f"{len(columns) + 1} tab-separated column(s)"
        expected = "4 (a relation) or at least 6 (a mention: document, start, end, text, type, identifier)"
        raise InputError(problem, path=where, line=line, expected=expected, fix="are the columns separated by tabs?")
    start, end = offset(columns[0], where, line), offset(columns[1], where, line)
    identifiers = split_identifiers(columns[4]) if len(columns) > 4 else ()
    return Mention(name, columns[3], ((start, end),), columns[2], identifiers, _rest("names", columns[5:]))


def _rest(name: str, columns: list[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for value in columns)


def write(documents: Iterable[Document], path: str | Path, *, overwrite: bool = False) -> int:
    """Write a PubTator file under a temporary name, then rename; returns the number of documents.

    The first passage is the title if that is its type; without passages, the text's first line is. Each tab and line
    end inside a text becomes a space, so offsets stay valid.

    Raises:
        InputError: a discontinuous mention (PubTator has one start and one end), a bad id or type, an existing file.
    """
    count = 0
    with atomic_file(path, overwrite=overwrite) as stream:
        for document in documents:
            check_writable(document, path)
            stream.write("\n" * bool(count) + "\n".join(_lines(document, path)) + "\n")
            count += 1
    return count


def _lines(document: Document, path: str | Path) -> Iterator[str]:
    name = _cell(document.id, path)
    if not name.strip() or "|" in name:
        raise InputError(f"document id {name!r}", path=path, expected="an id without '|'", fix="rename the document")
    text = document.text.translate(_TABLE_SAFE)
    cut = _title_end(document)
    yield f"{name}|t|{text[:cut]}"
    if cut < len(text):
        yield f"{name}|a|{text[cut + 1 :]}"
    for mention in document.mentions:
        yield "\t".join((name, *_mention_cells(mention, path)))
    concepts = {m.id: "|".join(m.identifiers) if concepts_of(m.identifiers) else m.id for m in document.mentions}
    for relation in document.relations:
        if len(relation.arguments) != 2:
            problem = f"relation {relation.id} of document {name} has {len(relation.arguments)} arguments"
            raise InputError(problem, path=path, expected="two (PubTator)", fix="write brat or BioC")
        arguments = (concepts.get(value, value) for _, value in relation.arguments)
        note = [value for key, value in relation.attributes if key == "note"]
        yield "\t".join((name, *(_cell(value, path) for value in (relation.type, *arguments, *note))))


def _mention_cells(mention: Mention, path: str | Path) -> Iterator[str]:
    if len(mention.spans) > 1:
        fix = "write brat or BioC, or flatten the mentions first"
        problem = f"mention {mention.id} ({mention.text[:40]!r}) has {len(mention.spans)} pieces"
        raise InputError(problem, path=path, expected="one (PubTator)", fix=fix)
    yield from (str(mention.start), str(mention.end), mention.text.translate(_TABLE_SAFE))
    yield _cell(mention.type, path)
    yield _cell("|".join(mention.identifiers), path)
    yield from (_cell(value, path) for key, value in mention.attributes if key == "names")


def _title_end(document: Document) -> int:
    """Where the title ends; the character after it is read back as a space."""
    text, passages = document.text, document.passages
    cut = passages[0].end if passages and passages[0].type == "title" else (text + "\n").index("\n")
    return cut if cut == len(text) or (cut < len(text) and text[cut].isspace()) else len(text)


def _cell(value: str, path: str | Path) -> str:
    if any(c in value for c in "\t\r\n"):
        raise InputError(f"{value[:40]!r} holds a tab or a line end", path=path, expected="a plain table cell")
    return value
