"""The parts of annotated documents: passages or paragraphs, and their sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator

from biomtl.formats.model import Document
from biomtl.text.base import Span
from biomtl.text.sentences import sentences

_PARAGRAPH = re.compile(r"(?:(?!\n[^\S\n]*\n).)+", re.DOTALL)


def document_sentences(document: Document) -> Iterator[Span]:
    """Offsets of a document's sentences, which never cross its parts."""
    for start, end in document_parts(document):
        yield from sentences(document.text, start, end)


def document_parts(document: Document) -> list[Span]:
    """Offsets of a document's passages, or of its paragraphs if it has none."""
    spans = [(passage.start, passage.end) for passage in document.passages]
    return spans or [match.span() for match in _PARAGRAPH.finditer(document.text)]
