"""Splits on the command line."""

from __future__ import annotations

from enum import StrEnum


class SplitName(StrEnum):
    """A split on the command line."""

    train = "train"
    dev = "dev"
    test = "test"
