"""The row length and window overlap of a saved model's text processor."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from biomtl.storage.structured import read_json, validated

_WHAT, _FIX = "the lengths of a saved model", "copy the model again"


class Lengths(BaseModel):
    """``processor.json``: the maximum positions of a row, and how many of them a window shares with the next."""

    max_length: int | None = Field(None, strict=True, ge=1)
    stride: int | None = Field(None, strict=True, ge=0)

    @classmethod
    def of(cls, path: Path) -> Lengths:
        """The lengths in the file; none if there is no file.

        Raises:
            InputError: not a JSON object, or invalid lengths.
        """
        return validated(cls, read_json(path, _WHAT, _FIX), path, _WHAT, _FIX) if path.exists() else cls()
