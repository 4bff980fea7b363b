"""The document model that all annotation formats share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biomtl.errors import InputError
from biomtl.notebook import html_table, html_text

Span = tuple[int, int]
Attributes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention in a text.

    ``spans`` are character offsets (0-based, end exclusive) into the document's text, in the file's order; two or more
    make the mention discontinuous. ``text`` is the covered text, with pieces joined by a space. ``identifiers`` are
    concept identifiers as written in the format (BC5CDR's ``-1`` for none stays ``-1``).
    """

    id: str
    type: str
    spans: tuple[Span, ...]
    text: str
    identifiers: tuple[str, ...] = ()
    attributes: Attributes = ()

    @property
    def start(self) -> int:
        """Start of the first piece."""
        return min(start for start, _ in self.spans)

    @property
    def end(self) -> int:
        """End of the last piece."""
        return max(end for _, end in self.spans)


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation. ``arguments`` are (role, mention id) pairs, or (role, concept identifier) in PubTator, whose
    relations hold between concepts."""

    id: str
    type: str
    arguments: tuple[tuple[str, str], ...]
    attributes: Attributes = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of the text: ``type`` is ``title``, ``abstract``, ``paragraph`` …; offsets as in `Mention`."""

    type: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """A text and its annotations. Without passages, the whole text is one.

    ``fields`` are the other keys of a JSON line; no other format can hold them. ``line`` is where it begins in its
    file, if that is known.
    """

    id: str
    text: str
    passages: tuple[Passage, ...] = ()
    mentions: tuple[Mention, ...] = ()
    relations: tuple[Relation, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    line: int | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        mentions, relations = _counted(self.mentions, "mention"), _counted(self.relations, "relation")
        return f"Document({self.id!r}, {_short(self.text)!r}, {len(self.text):,} characters, {mentions}, {relations})"

    def _repr_html_(self) -> str:
        """The text with its mentions highlighted, then its relations and the labels of sentences and of the text."""
        labelled = [m for m in self.mentions if any(name in ("label", "score") for name, _ in m.attributes)]
        shown = html_text(self.text, [(*span, m.type) for m in self.mentions if m not in labelled for span in m.spans])
        if labelled:
            rows = [(m.type, _short(m.text), _named(m.attributes)) for m in labelled]
            shown += html_table(("part", "text", "labels"), rows)
        if self.relations:
            texts = {mention.id: mention.text for mention in self.mentions}
            rows = [(r.type, _arguments(r, texts), _named(r.attributes)) for r in self.relations]
            shown += html_table(("relation", "arguments", "attributes"), rows)
        return shown


def _counted(things: Sequence[object], noun: str) -> str:
    return f"{len(things):,} {noun}{'s' * (len(things) != 1)}"


def _named(attributes: Attributes) -> str:
    return ", ".join(f"{name}={value}" for name, value in attributes)


def _arguments(relation: Relation, texts: Mapping[str, str]) -> str:
    return " - ".join(texts.get(value, value) for _, value in relation.arguments)


def covered(text: str, spans: Iterable[Span]) -> str:
    """The text covered by ``spans``, with pieces joined by a space (brat's convention)."""
    return " ".join(text[start:end] for start, end in spans)


_NUMBER = re.compile(r"[0-9]{1,10}")


def offset(value: str, path: str | Path, line: int | None) -> int:
    """A character offset or another count written in decimal digits.

    Raises:
        InputError: anything else, including digits of other scripts, signs and absurd lengths.
    """
    if not _NUMBER.fullmatch(value):
        raise InputError(f"{_short(value)!r} for an offset", path=path, line=line, expected="a whole number from 0")
    return int(value)


def check_mention(mention: Mention, text: str, path: str | Path, line: int | None, *, exact: bool = True) -> None:
    """Check that a mention is inside ``text`` and, if ``exact``, that its text is what its spans cover.

    Raises:
        InputError: an empty span, a span outside the text, a text that differs from the one covered.
    """
    for start, end in mention.spans:
        if not 0 <= start < end <= len(text):
            problem = f"mention {mention.id} at {start}-{end} of a text of {len(text)} characters"
            raise InputError(problem, path=path, line=line, expected="a span inside the text", fix="check the offsets")
    here = covered(text, mention.spans)
    if exact and here != mention.text:
        problem = f"mention {mention.id} {_short(mention.text)!r}"
        fix = "check the offsets (0-based characters, end exclusive)"
        raise InputError(problem, path=path, line=line, expected=f"{_short(here)!r} as in the text", fix=fix)


def check_writable(document: Document, path: str | Path) -> None:
    """Check for mentions outside the text and for what no text file can hold: NUL and unpaired surrogates."""
    strings = [document.id, document.text, *(passage.type for passage in document.passages)]
    for mention in document.mentions:
        check_mention(mention, document.text, path, None)
        strings += (mention.id, mention.type, *mention.identifiers, *(s for pair in mention.attributes for s in pair))
    for relation in document.relations:
        pairs = (*relation.arguments, *relation.attributes)
        strings += (relation.id, relation.type, *(s for pair in pairs for s in pair))
    for string in strings:
        if bad := re.search(r"[\x00\ud800-\udfff]", string):
            problem = f"document {_short(document.id)}: character U+{ord(bad[0]):04X}"
            raise InputError(problem, path=path, expected="text that UTF-8 can hold", fix="remove it")


def check_references(document: Document, path: str | Path | None = None) -> None:
    """Check that no relation refers to an id that two mentions have, before mentions get other ids."""
    ids = [mention.id for mention in document.mentions]
    twice = {name for name, count in Counter(ids).items() if count > 1}
    if unclear := twice.intersection(value for relation in document.relations for _, value in relation.arguments):
        problem = f"document {_short(document.id)}: a relation of {_short(min(unclear))!r}, the id of two mentions"
        raise InputError(problem, path=path, expected="one", fix="number the mentions anew")


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
