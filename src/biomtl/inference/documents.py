"""The input and output formats of documents, recognised by name and content."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from biomtl.custom.detect import SUFFIXES, detect
from biomtl.custom.documents import READERS
from biomtl.errors import InputError, fail
from biomtl.formats import bioc, brat, jsonl, pubtator
from biomtl.formats.model import Attributes, Document, Relation, Span, check_references, covered
from biomtl.storage.files import BROKEN_GZ, MAX_LINE, atomic_file, open_binary, suffix_of
from biomtl.text.concepts import concepts_of

FORMATS = ("pubtator", "bioc", "brat", "jsonl")
HOLD_LABELS = ("text", "bioc", "brat", "jsonl")
"""The formats that can hold labels of sentences and documents, probabilities and names of tasks."""
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_PIECE = re.compile(r"\S(?:[^\r\n]*\S)?")  # of a line


def source_format(path: Path) -> str:
    """The format of a file or folder, detected as in ``biomtl check``, or ``text`` if it is none of those.

    Raises:
        InputError: no such file, or a table, CoNLL or a saved dataset.
    """
    format_name: str = detect(path, tagging=False)
    if format_name == "documents":
        return "jsonl"
    if format_name == "brat" and not brat.is_annotated(path):
        return "text"
    if format_name == "tsv" and SUFFIXES.get(suffix_of(path)) is None:  # what detect says of any lines of text
        return "text"
    if format_name not in FORMATS:
        expected = f"text, {', '.join(FORMATS)}"
        raise InputError(f"documents in {format_name}", path=path, expected=expected, fix="say which with --from")
    return format_name


def target_format(out: Path, source: str) -> str:
    """The format to write: from the name, otherwise the source's, otherwise brat, whose texts are plain files.

    Raises:
        InputError: the name is that of a text file, but brat is written as a folder.
    """
    suffix = out.suffix.lower()
    if (named := SUFFIXES.get(suffix)) in FORMATS and named != "brat":
        return str(named)
    chosen = "brat" if source == "text" else source
    if chosen == "brat":
        check_target(out, chosen)
    return chosen


def check_target(out: Path, format: str) -> None:
    """Check that a name suits a format.

    Raises:
        InputError: the format is brat, which is written as a folder, but the name is a file's.
    """
    if format == "brat" and out.suffix.lower() in (".txt", ".ann", *SUFFIXES):
        fix = "name a folder, or say which format with --to"
        raise InputError("a file's name for brat, which is a folder", path=out, fix=fix)


def read_documents(path: Path, format: str) -> Iterator[Document]:
    """Stream the documents of a file or folder.

    Raises:
        InputError: with file and line.
    """
    if format == "text":
        return read_texts(path)
    return jsonl.read(path) if format == "jsonl" else READERS[format](path, fail)


def read_texts(path: Path) -> Iterator[Document]:
    """Plain text: a file is one document, a folder has one per ``.txt``, at any depth; ids as in brat.

    Raises:
        InputError: no text file, or one that is not UTF-8.
    """
    files = sorted(brat.files(path, ".txt")) if path.is_dir() else [path]
    if not files:
        raise InputError("no .txt file", path=path, expected="a folder of text files")
    for file in files:
        try:
            with open_binary(file) as stream:
                content = stream.read(MAX_LINE + 1)
        except BROKEN_GZ as error:
            raise InputError(f"can't be unpacked ({error})", path=file, fix="copy it again") from error
        except OSError as error:
            raise InputError(f"can't be read ({error.strerror})", path=file, fix="check the path") from error
        plain = file.with_suffix("") if file.suffix.lower() == ".gz" else file
        name = plain.relative_to(path).with_suffix("").as_posix() if path.is_dir() else plain.stem
        yield Document(name, brat.decode(content, file))


def write_documents(documents: Iterable[Document], out: Path, format: str, *, overwrite: bool = False) -> int:
    """Write documents under a temporary name, then rename; returns how many.

    Types in brat are letters, digits, ``_`` and ``-``: anything else becomes ``_`` (``CPR:3`` is ``CPR_3``), and
    a mention over several lines has a piece in each. In PubTator a relation's argument without an identifier is ``T``
    and the number of its mention line, from 0, as in the reader; a relation between the same concepts is written once,
    even if several pairs of mentions have it. For text, see `write_texts`.

    Raises:
        InputError: an existing target, or what the format can't hold.
    """
    fit = {"brat": _for_brat, "pubtator": _for_pubtator}.get(format, lambda document: document)
    return _WRITERS[format](map(fit, documents), out, overwrite=overwrite)


def _for_brat(document: Document) -> Document:
    mentions = []
    for mention in document.mentions:
        spans = [span for whole in mention.spans for span in _line_by_line(document.text, whole)]
        named = _NO_NAME.sub("_", mention.type)
        mentions.append(replace(mention, type=named, spans=tuple(spans), text=covered(document.text, spans)))
    relations = tuple(replace(relation, type=_NO_NAME.sub("_", relation.type)) for relation in document.relations)
    return replace(document, mentions=tuple(mentions), relations=relations)


def _line_by_line(text: str, span: Span) -> list[Span]:
    pieces = [match.span() for match in _PIECE.finditer(text, *span)]
    return pieces if any(c in "\r\n" for c in text[slice(*span)]) else [span]


def _for_pubtator(document: Document) -> Document:
    check_references(document)
    names = {mention.id: f"T{i}" for i, mention in enumerate(document.mentions)}
    mentions = tuple(replace(mention, id=f"T{i}") for i, mention in enumerate(document.mentions))
    concepts = {mention.id: concepts_of(mention.identifiers) for mention in mentions}
    relations: dict[object, Relation] = {}
    for relation in document.relations:
        arguments = tuple((role, names.get(value, value)) for role, value in relation.arguments)
        notes = tuple(value for name, value in relation.attributes if name == "note")
        key = (relation.type, *(concepts.get(value) or value for _, value in arguments), notes)
        relations.setdefault(key, replace(relation, arguments=arguments))
    return replace(document, mentions=mentions, relations=tuple(relations.values()))


def write_texts(documents: Iterable[Document], out: Path, *, overwrite: bool = False) -> int:
    """One block per document, separated by blank lines: id, text, one line per annotation; returns their number.

    Annotation lines have tab-separated offsets (for a relation, its arguments), type, words and attributes. This format
    is not read back: a text may contain blank lines.

    Raises:
        InputError: an existing target.
    """
    count = 0
    with atomic_file(out, overwrite=overwrite) as stream:
        for document in documents:
            lines = (document.id, document.text.rstrip(), *_shown(document))
            stream.write("\n" * bool(count) + "\n".join(lines) + "\n")
            count += 1
    return count


def _shown(document: Document) -> Iterator[str]:
    texts = {mention.id: " ".join(mention.text.split()) for mention in document.mentions}
    for mention in document.mentions:
        places = ";".join(f"{start}-{end}" for start, end in mention.spans)
        yield "\t".join((places, mention.type, texts[mention.id], _named(mention.attributes))).rstrip()
    for relation in document.relations:
        arguments = " - ".join(texts.get(value, value) for _, value in relation.arguments)
        yield "\t".join((arguments, relation.type, _named(relation.attributes))).rstrip()


def _named(attributes: Attributes) -> str:
    return ", ".join(f"{name}={value}" for name, value in attributes)


_WRITERS: dict[str, Callable[..., int]] = {
    "text": write_texts,
    "pubtator": pubtator.write,
    "bioc": bioc.write,
    "brat": brat.write,
    "jsonl": jsonl.write,
}
