"""CoNLL columns: one token per line, 2 to n columns, a blank line after each sentence.

Columns are separated by tabs if the line has any, otherwise by spaces. A line that begins with ``#`` is a comment
unless it has the file's width and ends in a tag; ``# newdoc id = X``, ``###X`` and ``-DOCSTART-`` (which may have a
number as its id: ``-DOCSTART- (95369245)``) start a document.
Tags may be IOB1, IOB2, IOBES or BILOU, with or without types (``B-Chemical``, ``B``), and are read as IOB2: a mention
begins at ``B``, ``S`` or ``U``, at ``I``, ``E`` or ``L`` after another type or no mention, and after the end of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from biomtl.errors import InputError, OnError, fail
from biomtl.formats.mentions import iob_tags
from biomtl.formats.model import Document, Mention, Span, check_writable
from biomtl.storage.files import atomic_file, read_lines
from biomtl.text.tags import chunks, to_iob2
from biomtl.text.words import words

_TAG = re.compile(r"O|[BIESLU](?:-(\S+))?")
_NEW_DOCUMENT = re.compile(r"(?:#\s*newdoc(?:\s+id\s*=)?|###)\s*(.*)")
_NUMBERED = re.compile(r"-DOCSTART-\s+\(?(\d+)\)?")
LOOKED_AT = 200  # lines that are checked to recognise a file of tokens

Line = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Sentence:
    """The rows of a sentence.

    ``tokens`` and ``tags`` (IOB2) have one entry per row, ``rows`` has all columns as in the file, and ``line`` is the
    first line. ``document`` is the id in the last document mark, or the mark's number, from 1; it is empty if no mark
    precedes the sentence.
    """

    document: str
    line: int
    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_sentences(path: str | Path, *, token: int = 0, tag: int = -1, on_error: OnError = fail) -> Iterator[Sentence]:
    """Stream the sentences of a CoNLL file; see `parse`."""
    return parse(read_lines(path, on_error), path, token=token, tag=tag, on_error=on_error)


def parse(
    lines: Iterable[Line], where: str | Path, *, token: int = 0, tag: int = -1, on_error: OnError = fail
) -> Iterator[Sentence]:
    """Stream the sentences of numbered lines.

    Args:
        lines: (1-based number, text).
        where: the file's name for errors.
        token: column of the token, from 0; negative counts from the end.
        tag: column of the tag.
        on_error: called with the error of each bad row; if it returns, the row is skipped.

    Raises:
        InputError: rows of unequal width, no such column, a tag in no known scheme, an empty token.
    """
    document, marks, width = "", 0, 0
    rows: list[tuple[int, tuple[str, ...]]] = []

    def sentence() -> Sentence:
        tokens = tuple(row[token] for _, row in rows)
        tags = tuple(to_iob2([row[tag] for _, row in rows]))
        return Sentence(document, rows[0][0], tokens, tags, tuple(row for _, row in rows))

    for number, line in lines:
        cells = tuple(line.split("\t") if "\t" in line else line.split())
        mark = _mark(line, cells, width, tag)
        if mark == "#":
            continue
        if rows and (mark is not None or not line.strip()):
            yield sentence()
            rows = []
        if mark is not None:
            marks += 1
            document = mark or str(marks)
        elif line.strip():
            width = width or len(cells)
            try:
                _check(cells, width, token, tag, where, number)
            except InputError as error:
                on_error(error)
            else:
                rows.append((number, cells))
    if rows:
        yield sentence()


def _mark(line: str, cells: tuple[str, ...], width: int, tag: int) -> str | None:
    """The id in a document mark (empty if it has none), ``#`` for a comment, None for a row or a blank line."""
    if cells and cells[0] == "-DOCSTART-":
        match = _NUMBERED.fullmatch(line.strip())
        return match[1] if match else ""
    if not line.startswith("#") or (len(cells) > 1 and len(cells) == (width or len(cells)) and _tagged(cells, tag)):
        return None
    match = _NEW_DOCUMENT.fullmatch(line)
    return match[1].strip() if match else "#"


def _tagged(cells: tuple[str, ...], tag: int) -> bool:
    return -len(cells) <= tag < len(cells) and bool(_TAG.fullmatch(cells[tag]))


def looks_like(lines: Iterable[Line]) -> bool:
    """Whether the first lines of a file are rows of a token and a final tag, rather than a table of sentences."""
    widths = set()
    for _, line in islice(lines, LOOKED_AT):
        cells = tuple(line.split("\t") if "\t" in line else line.split())
        if not line.strip() or _mark(line, cells, 0, -1) is not None:
            continue
        if len(cells) < 2 or not _tagged(cells, -1) or len(cells[0].split()) != 1:
            return False
        widths.add(len(cells))
    return len(widths) == 1


def _check(cells: tuple[str, ...], width: int, token: int, tag: int, where: str | Path, line: int) -> None:
    if len(cells) != width or width < 2:
        expected = f"{width} as in the rows before" if width > 1 else "at least a token and a tag"
        raise InputError(f"{len(cells)} column(s)", path=where, line=line, expected=expected, fix="correct the row")
    for column in (token, tag):
        if not -width <= column < width:
            raise InputError(f"column {column} of {width}", path=where, line=line, fix="columns count from 0")
    if not cells[token].strip():
        raise InputError("an empty token", path=where, line=line, fix="correct the row")
    if not _TAG.fullmatch(cells[tag]):
        expected = "O or B-, I-, E-, S-, L-, U- and a type"
        fix = "choose the tag column" + (", or delete the line if it names the columns" if line == 1 else "")
        raise InputError(f"tag {cells[tag][:40]!r}", path=where, line=line, expected=expected, fix=fix)


def write_sentences(sentences: Iterable[Sentence], path: str | Path, *, overwrite: bool = False) -> int:
    """Write tab-separated rows, with ``# newdoc id = X`` where the document changes; returns the number of sentences.

    Raises:
        InputError: a cell with a tab or line end, a first cell that looks like a document mark, an existing file.
    """
    count, document = 0, ""
    with atomic_file(path, overwrite=overwrite) as stream:
        for sentence in sentences:
            if sentence.document != document:  # sentences before the first mark need none
                document = sentence.document
                if any(c in document for c in "\r\n\0"):
                    raise InputError(f"document id {document[:60]!r}", path=path, expected="an id without line ends")
                stream.write(f"# newdoc id = {document}\n")
            for row in sentence.rows:
                if row[0] == "-DOCSTART-" or any(c in cell for cell in row for c in "\t\r\n\0"):
                    raise InputError(
                        f"row {' '.join(row)[:60]!r}", path=path, expected="cells without tabs or line ends"
                    )
                stream.write("\t".join(row) + "\n")
            stream.write("\n")
            count += 1
    return count


def read(path: str | Path, *, token: int = 0, tag: int = -1) -> Iterator[Document]:
    """Stream the documents of a CoNLL file: tokens joined by spaces, sentences by line ends.

    A file without document marks is one document, ``1``.
    """
    pending: list[Sentence] = []
    for sentence in read_sentences(path, token=token, tag=tag):
        if pending and pending[0].document != sentence.document:
            yield _document(pending)
            pending = []
        pending.append(sentence)
    if pending:
        yield _document(pending)


def _document(sentences: list[Sentence]) -> Document:
    text = ""
    mentions: list[Mention] = []
    parts: list[str] = []
    at = 0
    for sentence in sentences:
        offsets: list[Span] = []
        for token in sentence.tokens:
            offsets.append((at, at + len(token)))
            at += len(token) + 1
        parts.append(" ".join(sentence.tokens))
        for first, last, mention_type in chunks(sentence.tags):
            span = (offsets[first][0], offsets[last - 1][1])
            mentions.append(Mention(f"T{len(mentions)}", mention_type, (span,), " ".join(sentence.tokens[first:last])))
    text = "\n".join(parts)
    return Document(sentences[0].document or "1", text, (), tuple(mentions))


def write(documents: Iterable[Document], path: str | Path, *, overwrite: bool = False) -> int:
    """Write token and IOB2 tag of each document; returns the number of documents.

    Lines of the text become sentences and `text.words` the tokens. Mentions that one tag per token can't express are
    written as in `mentions.iob_tags`; apply a policy first to choose. The format can't hold relations, identifiers or
    mention ids.

    Raises:
        InputError: a mention without a token, a type with spaces, an existing file.
    """
    count = 0

    def sentences() -> Iterator[Sentence]:
        nonlocal count
        for document in documents:
            count += 1
            check_writable(document, path)
            yield from _sentences(document, path)

    write_sentences(sentences(), path, overwrite=overwrite)
    return count


def _sentences(document: Document, path: str | Path) -> Iterator[Sentence]:
    offsets = list(words(document.text))
    tags = iob_tags(offsets, document.mentions, path)
    rows: list[tuple[str, str]] = []
    before = 0
    for (start, end), tag in zip(offsets, tags, strict=True):
        if not _TAG.fullmatch(tag):
            raise InputError(f"type {tag[2:42]!r}", path=path, expected="a type without spaces (CoNLL)")
        if rows and "\n" in document.text[before:start]:
            yield Sentence(document.id, 0, (), (), tuple(rows))
            rows = []
        rows.append((document.text[start:end], tag))
        before = end
    if rows:
        yield Sentence(document.id, 0, (), (), tuple(rows))
