"""Records that remember where they came from, so that a later check can name the row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biomtl.errors import InputError


class Located(dict[str, Any]):
    """A record with the file and the 1-based row it was read from; no row if it is a part of an annotated document.

    The first record of an annotated document also carries the counts of `mentions.apply_policy`; each has the line
    where the document begins, if that is known.
    """

    def __init__(
        self,
        where: tuple[str, int | None],
        cases: Mapping[str, int] | None = None,
        line: int | None = None,
        /,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.where = where
        self.cases = cases or {}
        self.line = line

    def error(self, problem: str) -> InputError:
        """The error of a bad record, which has its row or, without one, its id."""
        path, row = self.where
        if row is not None:
            return InputError(problem, path=path, line=row, fix="correct the row")
        return InputError(f"record {self['id']}: {problem}", path=path, line=self.line, fix="correct the document")
