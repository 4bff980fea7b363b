"""Records that remember where they came from, so that a later check can name the row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Located(dict[str, Any]):
    """A record with the file and the 1-based row it was read from.

    The first record of an annotated document also carries the counts of `mentions.apply_policy`.
    """

    def __init__(self, where: tuple[str, int], cases: Mapping[str, int] | None = None, /, **fields: Any) -> None:
        super().__init__(**fields)
        self.where = where
        self.cases = cases or {}
