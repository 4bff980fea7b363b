"""brat standoff: ``NAME.txt`` and ``NAME.ann`` side by side, either may be ``.gz`` (https://brat.nlplab.org/standoff.html).

    T1<TAB>Disease 0 5;8 12<TAB>right atrium       mention; pieces separated by ;
    R1<TAB>Treats Arg1:T1 Arg2:T2                  relation
    E1<TAB>Binding:T3 Theme:T1 Theme2:E2           event: a relation whose first argument has the role ``trigger``
    *<TAB>Equiv T1 T4                              a relation ``Equiv`` whose arguments have no role
    A1<TAB>Negation E1 · M1<TAB>Confidence T1 high attribute of a mention or relation
    N1<TAB>Reference T1 MeSH:D003000<TAB>clonidine identifier; its name is kept as attribute ``N:MeSH:D003000``
    #1<TAB>AnnotatorNotes T1<TAB>free text         note, kept as attribute ``AnnotatorNotes``

Offsets count characters of the original ``.txt`` (including CR), end exclusive. Any other line is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from biomtl.errors import InputError, OnError, fail
from biomtl.formats import brat_write
from biomtl.formats.model import Document, Mention, Relation, Span, check_mention, covered, offset
from biomtl.storage.files import BROKEN_GZ, MAX_LINE, open_binary, read_lines

Line = tuple[int, str]
write = brat_write.write

_SPACE = re.compile(r"\s")


def read(path: str | Path, on_error: OnError = fail) -> Iterator[Document]:
    """Stream the documents of a folder (at any depth), or the one of a ``.txt`` or ``.ann`` file.

    A document's id is its path in the folder, without suffix. A text without ``.ann`` is a document without mentions.
    ``on_error`` is called with the first error in a document; if it returns, the document is skipped.

    Raises:
        InputError: no text, an ``.ann`` without text, bytes that aren't UTF-8; see `parse`.
    """
    path = Path(path)
    if not path.is_dir():
        yield from _pair(_stem(path), _stem(path).name, on_error)
        return
    stems = sorted({_stem(file) for suffix in (".txt", ".ann") for file in files(path, suffix)})
    if not stems:
        raise InputError("no .txt file", path=path, expected="brat's .txt and .ann files")
    for stem in stems:
        yield from _pair(stem, stem.relative_to(path).as_posix(), on_error)


def files(folder: Path, suffix: str) -> Iterator[Path]:
    """The files of a folder, at any depth, with this suffix, compressed or not."""
    yield from folder.rglob(f"*{suffix}")
    yield from folder.rglob(f"*{suffix}.gz")


def without_annotations(path: Path) -> list[Path]:
    """The texts of a folder that have no ``.ann``, which are read as documents without mentions."""
    return [file for file in sorted(files(path, ".txt")) if not _beside(_stem(file), ".ann").is_file()]


def is_annotated(path: Path) -> bool:
    """Whether a folder holds an ``.ann`` file, or a file has one beside it."""
    return any(files(path, ".ann")) if path.is_dir() else _beside(_stem(path), ".ann").is_file()


def _stem(file: Path) -> Path:
    """``in/a`` of ``in/a.txt.gz``."""
    return file.with_name(Path(file.name.removesuffix(".gz")).stem)


def _beside(stem: Path, suffix: str) -> Path:
    """The plain file of a document with this suffix, or the compressed one if only that exists."""
    plain = stem.with_name(stem.name + suffix)
    packed = stem.with_name(f"{plain.name}.gz")
    return packed if packed.exists() and not plain.exists() else plain


def _pair(stem: Path, name: str, on_error: OnError) -> Iterator[Document]:
    """The document of a text and its annotations, or none if it has an error and ``on_error`` returns."""
    try:
        yield _document(stem, name)
    except InputError as error:
        on_error(error)


def _document(stem: Path, name: str) -> Document:
    text_file, annotations = _beside(stem, ".txt"), _beside(stem, ".ann")
    try:
        with open_binary(text_file) as stream:
            content = stream.read(MAX_LINE + 1)
    except BROKEN_GZ as error:
        raise InputError(f"can't be unpacked ({error})", path=text_file, fix="copy it again") from error
    except OSError as error:
        fix = "put .txt and .ann together"
        raise InputError(f"can't be read ({error.strerror})", path=text_file, fix=fix) from error
    lines = read_lines(annotations) if annotations.exists() else ()
    return parse(name, decode(content, text_file), lines, annotations)


def decode(content: bytes, where: str | Path) -> str:
    """A text file's bytes as text, with line ends unchanged, since offsets count them; a BOM is dropped.

    Raises:
        InputError: over 32 MiB, not UTF-8, a NUL byte.
    """
    if len(content) > MAX_LINE:
        raise InputError(f"a text of over {MAX_LINE:,} bytes", path=where, fix="split it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"byte 0x{content[error.start]:02x} is not UTF-8"
        raise InputError(problem, path=where, line=line, fix="convert the file to UTF-8") from error
    if "\0" in text:
        raise InputError("a NUL byte", path=where, line=text.count("\n", 0, text.index("\0")) + 1, expected="text")
    return text


def parse(name: str, text: str, lines: Iterable[Line], where: str | Path) -> Document:
    """The document of a text and the numbered lines of its ``.ann``.

    Raises:
        InputError: an unknown kind of line, a repeated id, a reference to an unknown id, a mention outside the text or
            with a text that differs from what its offsets cover (ignoring whitespace).
    """
    return _Builder(text, where).document(name, lines)


class _Builder:
    def __init__(self, text: str, where: str | Path) -> None:
        self.text, self.where = text, where
        self.items: dict[str, Mention | Relation] = {}
        self.notes: dict[str, list[tuple[str, str]]] = {}
        self.references: dict[str, list[str]] = {}
        self.used: list[
            tuple[int, str]
        ] = []  # (line, id referred to), checked at the end, because lines can be in any order

    def document(self, name: str, lines: Iterable[Line]) -> Document:
        for number, line in lines:
            if line.strip():
                self._line(number, line)
        for number, identifier in self.used:
            if identifier not in self.items:
                known = "a mention (T), relation (R) or event (E) of this file"
                raise InputError(f"reference to {identifier[:40]!r}", path=self.where, line=number, expected=known)
        done = [self._finished(item) for item in self.items.values()]
        mentions = tuple(item for item in done if isinstance(item, Mention))
        relations = tuple(item for item in done if isinstance(item, Relation))
        return Document(name, self.text, (), mentions, relations)

    def _finished(self, item: Mention | Relation) -> Mention | Relation:
        # Lines can be in any order, and the writer puts an identifier's name after it, so these names are read first.
        attributes = tuple(sorted(self.notes.get(item.id, ()), key=lambda pair: not pair[0].startswith("N:")))
        if isinstance(item, Relation):
            return Relation(item.id, item.type, item.arguments, attributes)
        return Mention(item.id, item.type, item.spans, item.text, tuple(self.references.get(item.id, ())), attributes)

    def _line(self, number: int, line: str) -> None:
        identifier, *columns = line.split("\t")
        body = columns[0].split(" ") if columns else []
        letter = identifier[:1]
        if letter == "T" and len(columns) > 1:
            self._add(self._mention(identifier, columns[0], "\t".join(columns[1:]), number), number)
        elif letter in "RE" and letter and columns:
            self._add(self._relation(identifier, body, number), number)
        elif identifier == "*" and len(body) > 2:
            identifier = f"*{sum(item.id.startswith('*') for item in self.items.values()) + 1}"
            self._add(Relation(identifier, body[0], tuple(("", self._use(item, number)) for item in body[1:])), number)
        elif letter and letter in "AM" and len(body) in (2, 3):
            self._note(body[1], (body[0], "".join(body[2:])), number)
        elif letter == "N" and len(body) == 3:
            self.references.setdefault(self._use(body[1], number), []).append(body[2])
            if len(columns) > 1:
                self._note(body[1], (f"N:{body[2]}", columns[1]), number)
        elif letter == "#" and len(body) == 2:
            self._note(body[1], (body[0], "\t".join(columns[1:])), number)
        else:
            expected = "a line of brat standoff (T, R, E, A, M, N, # or *)"
            raise InputError(
                f"{line[:60]!r}", path=self.where, line=number, expected=expected, fix="correct or remove it"
            )

    def _add(self, item: Mention | Relation, number: int) -> None:
        if item.id in self.items:
            raise InputError(f"a second {item.id[:40]!r}", path=self.where, line=number, fix="ids must be unique")
        self.items[item.id] = item

    def _use(self, identifier: str, number: int) -> str:
        self.used.append((number, identifier))
        return identifier

    def _note(self, target: str, attribute: tuple[str, str], number: int) -> None:
        self.notes.setdefault(self._use(target, number), []).append(attribute)

    def _mention(self, identifier: str, place: str, said: str, number: int) -> Mention:
        mention_type, _, rest = place.partition(" ")
        spans = tuple(self._span(piece, number) for piece in rest.split(";"))
        mention = Mention(identifier, mention_type, spans, said)
        check_mention(mention, self.text, self.where, number, exact=False)
        here = covered(self.text, spans)
        if _SPACE.sub(" ", said) != _SPACE.sub(" ", here):  # a line end inside a mention is written as a space
            problem = f"mention {identifier} {said[:60]!r}"
            fix = "check the offsets (0-based characters, end exclusive)"
            raise InputError(problem, path=self.where, line=number, expected=f"{here[:60]!r} as in the text", fix=fix)
        return Mention(identifier, mention_type, spans, here)

    def _span(self, piece: str, number: int) -> Span:
        start, _, end = piece.partition(" ")
        return offset(start, self.where, number), offset(end, self.where, number)

    def _relation(self, identifier: str, body: list[str], number: int) -> Relation:
        relation_type, _, trigger = body[0].partition(":")
        pairs = [item.partition(":") for item in body[1:] if item]
        if any(not value for _, _, value in pairs) or bool(trigger) != (identifier[0] == "E"):
            expected = "'Type Arg1:T1 Arg2:T2' (relation) or 'Type:T1 Role:T2' (event)"
            raise InputError(f"{' '.join(body)[:60]!r}", path=self.where, line=number, expected=expected)
        arguments = [(role, self._use(value, number)) for role, _, value in pairs]
        if trigger:
            arguments.insert(0, ("trigger", self._use(trigger, number)))
        return Relation(identifier, relation_type, tuple(arguments))
