"""Invented documents, and documents with marked words."""

from __future__ import annotations

import random

import tiny
from biomtl.formats import Document, Mention, Passage


def document(name: str, *texts: str) -> Document:
    """A title and an abstract of these sentences."""
    title, abstract = texts[0], " ".join(texts[1:])
    passages = (Passage("title", 0, len(title)), Passage("abstract", len(title) + 1, len(title) + 1 + len(abstract)))
    return Document(name, f"{title} {abstract}", passages)


def invented(seed: int, count: int = 3) -> list[Document]:
    rng = random.Random(seed)
    return [document(f"d{i}", *(" ".join(tiny.sentence(rng)).capitalize() for _ in range(4))) for i in range(count)]


def marked(text: str, **types: str) -> Document:
    """A document in which words are mentions of types."""
    found = [(text.index(word), word, kind) for word, kind in types.items()]
    mentions = (Mention(f"T{i}", kind, ((at, at + len(word)),), word) for i, (at, word, kind) in enumerate(found))
    return Document("d", text, (), tuple(mentions))
