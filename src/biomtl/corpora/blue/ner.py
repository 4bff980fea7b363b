"""Named-entity files: BLUE's four columns, two-column IOB, and MT-DNN's canonical rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from biomtl.corpora.records import Located
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks.task import Split, Task
from biomtl.tasks.types.checks import unknown_label

Line = tuple[int, list[str]]
EXPECTED = "4 columns (token, document id or -, offset, tag) or 2 (token, tag), separated by tabs"


@dataclass
class TokenRows:
    """A sentence whose lines are being read."""

    line: int
    document: str | None = None
    tokens: list[str] = field(default_factory=list)
    offsets: list[list[int]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)

    def add(self, token: str, start: int, tag: str) -> None:
        """Append a token; its end follows from its length (a canonical file counts a quoted ``\"\"\"\"`` as four)."""
        self.tokens.append(token)
        self.offsets.append([start, start + len(token)])
        self.tags.append(tag)

    def record(self, where: str, document: str) -> Located:
        """The finished sentence; its id is its document and its start offset there."""
        return Located(
            (where, self.line),
            id=f"{document}.{self.offsets[0][0]}",
            doc_id=document,
            tokens=self.tokens,
            offsets=self.offsets,
            tags=self.tags,
        )


def read_ner(source: Source, name: str, task: Task, split: Split) -> Iterator[Located]:
    """The sentences of one file; the last one counts whether or not a blank line follows.

    Untyped tags (``B``, ``I``) get the task's entity type. The two-column form knows neither documents nor offsets:
    each sentence is its own document (``train-0``, ``train-1``, …), and its text is the tokens joined by single spaces.
    """
    where = source.where(name)
    cells = next((_cells(text) for _, text in source.lines(name) if not _is_blank(text)), None)
    if cells is None:
        raise InputError("an empty file", path=where, expected=EXPECTED)
    if len(cells) in (3, 4) and cells[1].startswith("["):
        return _read_canonical(source, name, task)
    if len(cells) == 4:
        return _read_blue(source, name, task)
    if len(cells) == 2:
        return _read_iob(source, name, task, split)
    raise InputError(f"{len(cells)} columns", path=where, line=1, expected=EXPECTED)


def _cells(text: str) -> list[str]:
    # Tabs as released; spaces too, since BlueBERT's reader accepts any whitespace.
    return text.split("\t") if "\t" in text else text.split(" ")


def _is_blank(text: str) -> bool:
    # BlueBERT's reader skips "###" lines, with which some corpora start a document.
    return not text.strip() or (text.startswith("###") and "\t" not in text)


def _sentences(source: Source, name: str, width: int) -> Iterator[list[Line]]:
    where = source.where(name)
    lines: list[Line] = []
    for number, text in source.lines(name):
        if _is_blank(text):
            if lines:
                yield lines
            lines = []
            continue
        cells = _cells(text)
        if len(cells) != width:
            raise InputError(f"{len(cells)} columns", path=where, line=number, expected=f"{width}, separated by tabs")
        if cells[0] == "":
            raise InputError("an empty token", path=where, line=number, expected=EXPECTED)
        # A CSV writer turns a token that is one double quote into four characters.
        cells[0] = '"' if cells[0] == '""""' else cells[0]
        lines.append((number, cells))
    if lines:
        yield lines


def _read_blue(source: Source, name: str, task: Task) -> Iterator[Located]:
    where, typed = source.where(name), _typed(task)
    document: str | None = None
    for lines in _sentences(source, name, 4):
        sentence = TokenRows(lines[0][0])
        for number, (token, owner, offset, tag) in lines:
            owner = owner.strip()
            if owner not in ("-", ""):
                if sentence.document not in (None, owner):
                    problem = f"document {owner!r} in a sentence of {sentence.document!r}"
                    raise InputError(problem, path=where, line=number, expected="a blank line between sentences")
                sentence.document = document = owner
            sentence.add(token, _position(offset, where, number), _tag(tag, typed, task, where, number))
        if document is None:
            problem = "a sentence without a document id"
            raise InputError(problem, path=where, line=sentence.line, expected="one in column 2 of the first token")
        yield sentence.record(where, document)


def _read_iob(source: Source, name: str, task: Task, split: Split) -> Iterator[Located]:
    where, typed = source.where(name), _typed(task)
    for count, lines in enumerate(_sentences(source, name, 2)):
        sentence = TokenRows(lines[0][0])
        start = 0
        for number, (token, tag) in lines:
            sentence.add(token, start, _tag(tag, typed, task, where, number))
            start += len(token) + 1
        yield sentence.record(where, f"{split}-{count}")


def _read_canonical(source: Source, name: str, task: Task) -> Iterator[Located]:
    """MT-DNN's rows: uid, then JSON lists of tags, tokens and ``start;end`` offsets."""
    where, typed = source.where(name), _typed(task)
    for number, text in source.lines(name):
        if not text.strip():
            continue
        uid, *cells = text.split("\t")
        try:
            tags, tokens, offsets = map(json.loads, cells)
            starts = [_position(offset.partition(";")[0], where, number) for offset in offsets]
            rows = list(zip(tokens, starts, tags, strict=True))
            document = uid.rpartition(".")[0] or uid
            sound = rows and all(isinstance(tag, str) and isinstance(token, str) and token for token, _, tag in rows)
        except (ValueError, TypeError, AttributeError, RecursionError):
            sound = False
        if not sound:
            expected = 'uid and three JSON lists of equal length: tags, tokens, "start;end"'
            raise InputError("a malformed row", path=where, line=number, expected=expected)
        sentence = TokenRows(number)
        for token, start, tag in rows:
            token = '"' if token == '""""' else token
            sentence.add(token, start, _tag(tag, typed, task, where, number))
        yield sentence.record(where, document)


def _typed(task: Task) -> Callable[[str], str]:
    mention_type = next((label[2:] for label in task.labels if label.startswith("B-")), "")
    return {"B": f"B-{mention_type}", "I": f"I-{mention_type}"}.get  # type: ignore[return-value]


def _tag(cell: str, typed: Callable[..., str], task: Task, where: str, number: int) -> str:
    tag = typed(cell.strip(), cell.strip())
    if problem := unknown_label(tag, task.labels):
        raise InputError(problem, path=where, line=number)
    return tag


def _position(cell: str, where: str, number: int) -> int:
    if not (cell.isascii() and cell.isdigit() and len(cell) < 12):
        raise InputError(f"offset {cell!r}", path=where, line=number, expected="the token's 0-based character offset")
    return int(cell)
