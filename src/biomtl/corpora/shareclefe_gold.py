"""The gold annotations of ShARe/CLEF eHealth 2013 task 1: ``||``-separated lines or Knowtator XML."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.formats.model import Mention, Span, offset
from biomtl.formats.xml import Element, elements

TYPE = "Disease"  # BLUE's name for all disorders


@dataclass(frozen=True, slots=True)
class Gold:
    """A mention and the row it was read from."""

    mention: Mention
    where: str
    line: int


def read_gold(source: Source, names: list[str], notes: Collection[str]) -> dict[str, list[Gold]]:
    """Note -> its mentions, in file order.

    Raises:
        InputError: a malformed row, or a note that doesn't exist.
    """
    gold: dict[str, list[Gold]] = {}
    for name in names:
        rows = _knowtator(source, name) if name.lower().endswith(".xml") else _lines(source, name)
        for note, entry in rows:
            if note not in notes:
                expected = "a note of the same part"
                raise InputError(f"note {note[:60]!r}", path=entry.where, line=entry.line, expected=expected)
            gold.setdefault(note, []).append(entry)
    return gold


def _lines(source: Source, name: str) -> Iterator[tuple[str, Gold]]:
    where = source.where(name)
    for number, line in source.lines(name):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("||")]
        if len(cells) < 5 or len(cells) % 2 == 0:
            problem = f"{len(cells)} column(s)"
            expected = "file||type||CUI||start||end, with further pairs of start and end if needed"
            raise InputError(problem, path=where, line=number, expected=expected)
        numbers = [offset(cell, where, number) for cell in cells[3:]]
        spans = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        mention = Mention("", TYPE, spans, "", (cells[2],))
        yield PurePosixPath(cells[0]).stem, Gold(mention, where, number)


def _knowtator(source: Source, name: str) -> Iterator[tuple[str, Gold]]:
    """Mentions of the class ``Disease_Disorder``; other classes (body sites, severities) are not part of the task."""
    where = source.where(name)
    stream = io.BytesIO(source.read_bytes(name))
    for root in elements(stream, "annotations", where, "annotations"):
        note = PurePosixPath(root.attributes.get("textSource", "")).stem
        classes = {
            mention.attributes.get("id", ""): mention_class.attributes.get("id", "")
            for mention in root.all("classMention")
            for mention_class in mention.all("mentionClass")
        }
        for annotation in root.all("annotation"):
            named = [mention.attributes.get("id", "") for mention in annotation.all("mention")]
            if any("disorder" in classes.get(identifier, "").lower() for identifier in named):
                mention = Mention("", TYPE, _spans(annotation, where), "")
                yield note, Gold(mention, where, annotation.line)


def _spans(annotation: Element, where: str) -> tuple[Span, ...]:
    spans = tuple(
        (
            offset(span.attributes.get("start", ""), where, span.line),
            offset(span.attributes.get("end", ""), where, span.line),
        )
        for span in annotation.all("span")
    )
    if not spans:
        raise InputError("an annotation without a span", path=where, line=annotation.line)
    return spans
