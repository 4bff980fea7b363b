"""Annotation formats: PubTator, BioC, brat, CoNLL and delimited tables, each with ``read`` and ``write``."""

from biomtl.corpora.formats.model import Attributes, Document, Mention, Passage, Relation, Span

__all__ = ["Attributes", "Document", "Mention", "Passage", "Relation", "Span"]
