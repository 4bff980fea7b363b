"""Records that still know where they come from, so that a check made later can name the row."""

from __future__ import annotations

from typing import Any


class Located(dict[str, Any]):
    """A record with the file and the 1-based row that it was read from."""

    def __init__(self, where: tuple[str, int], **fields: Any) -> None:
        super().__init__(**fields)
        self.where = where
