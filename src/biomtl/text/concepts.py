"""Concept identifiers of mentions, as documents write them: several in one cell, variants in tmVar's notation."""

from __future__ import annotations

import re
from collections.abc import Iterable

NO_CONCEPT = frozenset({"", "-", "-1"})  # of a mention that was not normalised
_VARIANT = re.compile(r"(?:tmVar:)?[cgmnpr]?\|[A-Za-z]+\|")
"""Notation of tmVar (Wei et al. 2013, doi:10.1093/bioinformatics/btt156), such as ``p|SUB|R|12|Q``."""


def split_identifiers(cell: str) -> tuple[str, ...]:
    """The identifiers in a cell of PubTator or BioC, joined by ``|``; a variant in tmVar's notation is one of them."""
    if not cell:
        return ()
    return (cell,) if _VARIANT.match(cell) else tuple(cell.split("|"))


def concepts_of(identifiers: Iterable[str]) -> tuple[str, ...]:
    """The concepts in a mention's identifiers, each once; a composite mention has several in one identifier."""
    parts = (
        part.strip()
        for identifier in identifiers
        for group in re.split("[;,]", identifier)
        for part in split_identifiers(group.strip())
    )
    return tuple(dict.fromkeys(part for part in parts if part not in NO_CONCEPT))
