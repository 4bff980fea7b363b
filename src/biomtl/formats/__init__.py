"""Annotation formats, one module each: ``pubtator``, ``bioc``, ``brat``, ``jsonl``, ``conll`` and ``delimited``.

``from biomtl.formats import brat``. All but the last have ``read(path)``, which streams documents, and
``write(documents, path)``; ``parse`` takes lines or streams instead of a path. ``conll`` also reads and writes
sentences, ``delimited`` rows.
"""

from biomtl.formats.model import Attributes, Document, Mention, Passage, Relation, Span

__all__ = ["Attributes", "Document", "Mention", "Passage", "Relation", "Span"]
