"""Corpora: a reader for each original distribution and for BLUE's own files."""

from biomtl.corpora.reader import Reader, ReadOptions
from biomtl.corpora.source import Source

__all__ = ["ReadOptions", "Reader", "Source"]
