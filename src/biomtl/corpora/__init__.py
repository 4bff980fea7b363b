"""Corpora: readers of original distributions and of BLUE's files, and `prepare`, which makes a suite of them."""

from biomtl.corpora.prepare import PrepareReport, prepare
from biomtl.corpora.reader import Reader, ReadOptions
from biomtl.corpora.source import Source

__all__ = ["PrepareReport", "ReadOptions", "Reader", "Source", "prepare"]
