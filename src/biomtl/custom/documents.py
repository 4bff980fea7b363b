"""Tagging records from annotated documents (PubTator, BioC, brat, JSON lines) and from CoNLL's sentences."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from biomtl.corpora.parts import document_sentences
from biomtl.corpora.reader import Record
from biomtl.corpora.records import Located
from biomtl.custom.config import TaskDefinition
from biomtl.custom.records import join_offsets
from biomtl.errors import InputError, OnError
from biomtl.formats import bioc, brat, conll, jsonl, pubtator
from biomtl.formats.mentions import apply_policy, iob_tags
from biomtl.formats.model import Document, Mention
from biomtl.storage.files import read_jsonl
from biomtl.text.words import words


def named_documents(path: Path, on_error: OnError) -> Iterator[Document]:
    """JSON lines' documents; one without an id has its file's name, as its line is also another file's.

    Raises:
        InputError: a record of a single text among them, whose gold would be lost, unless ``on_error`` handles it.
    """
    for line, record in read_jsonl(path):
        try:
            if other := next((key for key in RECORDS if key in record and "mentions" not in record), None):
                fix = "call them mentions, or keep records and documents in separate files"
                expected = "mentions, as in the first line"
                raise InputError(f"{other} without mentions", path=path, line=line, expected=expected, fix=fix)
            document = jsonl.to_document(record, path, line)
        except InputError as error:
            on_error(error)
        else:
            yield document if record.get("id") is not None else replace(document, id=f"{place(path)}#{line}")


RECORDS = ("entities", "tags", "label", "labels")  # keys of records that a document has no use for
READERS: dict[str, Callable[[Path, OnError], Iterator[Document]]] = {
    "pubtator": pubtator.read,
    "bioc": bioc.read,
    "brat": brat.read,
    "documents": named_documents,
}


def document_records(
    path: Path,
    format: str,
    definition: TaskDefinition,
    types: Sequence[str],
    on_error: OnError,
    *,
    several: bool = False,
) -> Iterator[Record]:
    """Stream one record per sentence of annotated documents.

    Sentences never cross passages, or paragraphs if the format has no passages. A mention that runs into the next
    sentence continues there with ``I``.

    Args:
        path: the file (for brat, or the folder).
        format: ``pubtator``, ``bioc``, ``brat`` or ``documents``.
        definition: the policy for special mentions.
        types: only use mentions of these types; empty for all but the labels of texts that `annotate` writes.
        on_error: called with the error of each bad document.
        several: whether the split has other files, whose documents may have the same names.
    """
    for document in READERS[format](path, on_error):
        kept = tuple(m for m in document.mentions if (m.type in types if types else not labels_text(m)))
        if len(kept) < len(document.mentions):
            document = replace(document, mentions=kept, relations=())
        try:
            document, cases = apply_policy(document, definition.mentions or "keep", path)
            cut = [list(words(document.text, *span)) for span in document_sentences(document)]
            tags = iter(iob_tags([span for sentence in cut for span in sentence], document.mentions, path))
        except InputError as error:
            on_error(error)
            continue
        name = document_name(document.id, format, path)
        for offsets in filter(None, cut):
            yield Located(
                (str(path), None),
                cases,
                document.line,
                id=f"{name if several else document.id}.{offsets[0][0]}",
                doc_id=name,
                tokens=[document.text[start:end] for start, end in offsets],
                offsets=[list(span) for span in offsets],
                tags=[next(tags) for _ in offsets],
            )
            cases = Counter()


def labels_text(mention: Mention) -> bool:
    """Whether it is no mention but the label or score of a sentence or document, as `annotate` writes them."""
    return mention.type in ("Sentence", "Document") and any(
        name in ("label", "score") for name, _ in mention.attributes
    )


def document_name(name: str, format: str, path: Path) -> str:
    """A document's ``doc_id``: a file's name, unlike a PMID, doesn't identify documents in other collections."""
    named = format == "brat" and not name.isdecimal()
    return f"{place(path)}/{name}" if named else name


def place(path: Path) -> str:
    """A file's name with a hash of its path, so that files of the same name differ."""
    return f"{path.name}@{zlib.crc32(str(path.absolute()).encode()):08x}"


def conll_records(path: Path, definition: TaskDefinition, on_error: OnError) -> Iterator[Record]:
    """Stream one record per sentence of a CoNLL file; offsets are those of the document's tokens joined by spaces.

    A sentence without a preceding document mark is its own document.

    ``columns`` gives the numbers (negative: from the end) of the columns that hold ``tokens`` and ``tags``.
    """
    at = {"tokens": 0, "tags": -1} | dict(definition.columns or {})
    for field, column in at.items():
        if field not in ("tokens", "tags") or not isinstance(column, int):
            problem = f"columns: {field}: {column}"
            raise InputError(problem, path=path, expected="numbers for tokens and tags, as CoNLL has no column names")
    begin, document = 0, ""
    for sentence in conll.read_sentences(path, token=int(at["tokens"]), tag=int(at["tags"]), on_error=on_error):
        if sentence.document != document or not document:
            begin, document = 0, sentence.document
        offsets = join_offsets(sentence.tokens, begin)
        begin = offsets[-1][1] + 1
        # A number assigned by the reader must not match a document of another file.
        unnamed = document.isdigit() and len(document) < 5
        name = f"{path.name}:{sentence.line}"
        yield Located(
            (str(path), sentence.line),
            id=name,
            doc_id=f"{place(path)}#{document}" if unnamed else document or name,
            tokens=list(sentence.tokens),
            offsets=offsets,
            tags=list(sentence.tags),
        )
